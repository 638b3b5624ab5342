#include "commands/report_html.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "src/core/table.hpp"

namespace pare {
namespace {

constexpr const char* style = R"(
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .3rem } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884 }
td.number { text-align: right } .wide { overflow-x: auto } .bad { color: #c33; font-weight: 600 }
figure { display: inline-block; margin: 0 1.5rem .8rem 0 } svg { display: block; width: 26rem; height: 9rem }
)";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '&') result += "&amp;";
    else if (c == '<') result += "&lt;";
    else if (c == '>') result += "&gt;";
    else if (c == '"') result += "&quot;";
    else result += c;
  }
  return result;
}

// A line of JSON for what is neither text nor a number.
std::string text_of(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return count_text(value.get<int64_t>());
  if (value.is_number()) return fmt::format("{:.6g}", value.get<double>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_table(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& row) { return row.is_object(); });
}

std::string html_of(const Json& value);

std::string cell(const Json& value) {
  return fmt::format("<td{}>{}</td>", value.is_number() ? " class=number" : "", html_of(value));
}

// Rows of objects, with a column for each key that one of them has.
std::string rows_table(const Json& rows) {
  std::vector<std::string> columns;
  for (const Json& row : rows)
    for (const auto& [key, value] : row.items())
      if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
  std::string html = "<div class=wide><table><tr>";
  for (const std::string& column : columns) html += fmt::format("<th>{}</th>", escaped(column));
  html += "</tr>";
  for (const Json& row : rows) {
    html += "<tr>";
    for (const std::string& column : columns) html += row.contains(column) ? cell(row.at(column)) : "<td></td>";
    html += "</tr>\n";
  }
  return html + "</table></div>";
}

std::string keys_table(const Json& object) {
  std::string html = "<div class=wide><table>";
  for (const auto& [key, value] : object.items())
    html += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escaped(key), html_of(value));
  return html + "</table></div>";
}

std::string html_of(const Json& value) {
  if (is_table(value)) return rows_table(value);
  if (value.is_object() && !value.empty()) return keys_table(value);
  if (value.is_string()) {
    // As JSON, so that other bytes than UTF-8 are replaced, without its quotes.
    const std::string text = Json::parse(text_of(value)).get<std::string>();
    return escaped(text);
  }
  return escaped(text_of(value));
}

// One number of the history over its rows, as a curve with its first, last and extreme values.
std::string curve(const Json& history, const std::string& key) {
  std::vector<double> values;
  for (const Json& row : history)
    if (row.contains(key) && row.at(key).is_number()) values.push_back(row.at(key).get<double>());
  if (values.size() < 2) return "";
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double span = *high > *low ? *high - *low : 1;
  std::string points;
  for (size_t i = 0; i < values.size(); ++i)
    points += fmt::format("{:.1f},{:.1f} ", 400.0 * static_cast<double>(i) / static_cast<double>(values.size() - 1),
                          110 - 100 * (values[i] - *low) / span);
  return fmt::format(
      "<figure><figcaption>{}: {:.6g} to {:.6g}, from {:.6g} to {:.6g}</figcaption>"
      "<svg viewBox=\"0 0 400 120\" preserveAspectRatio=none><polyline points=\"{}\" fill=none stroke=#38c "
      "stroke-width=2 vector-effect=non-scaling-stroke /></svg></figure>\n",
      escaped(key), values.front(), values.back(), *low, *high, points);
}

std::string history_html(const Json& history) {
  std::vector<std::string> keys;
  for (const Json& row : history)
    for (const auto& [key, value] : row.items())
      if (key != "step" && key != "epoch" && std::find(keys.begin(), keys.end(), key) == keys.end())
        keys.push_back(key);
  std::string html;
  for (const std::string& key : keys) html += curve(history, key);
  return html + "<details><summary>all rows</summary>" + rows_table(history) + "</details>";
}

std::string command_of(const Json& argv) {
  std::string line;
  for (const Json& word : argv) line += fmt::format("{}{}", line.empty() ? "" : " ", html_of(word));
  return line;
}

}  // namespace

std::string report_page(const Json& document) {
  const std::string verdict = document.at("verdict").get<std::string>();
  const std::string title = fmt::format("pare {}", html_of(document.at("command")));
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
      "<title>{0}: {1}</title><style>{2}</style></head><body>\n<h1>{0}: <span{3}>{1}</span></h1>\n"
      "<p><code>{4}</code></p>\n",
      title, verdict, style, verdict == "ok" ? "" : " class=bad", command_of(document.at("argv")));
  for (const auto& [key, section] : document.items()) {
    if (key == "command" || key == "argv" || key == "verdict" || section.is_null()) continue;
    if (section.is_array() && section.empty()) continue;
    if (!section.is_structured()) {
      html += fmt::format("<p>{}: {}</p>\n", escaped(key), html_of(section));
      continue;
    }
    html += fmt::format("<h2>{}</h2>\n", escaped(key));
    html += key == "history" && is_table(section) ? history_html(section) : html_of(section);
    html += "\n";
  }
  return html + "</body></html>\n";
}

}  // namespace pare
