#include "src/core/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace pare {

namespace {

// Columns a text takes: bytes that do not continue a UTF-8 sequence.
size_t columns_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string_view first_columns(std::string_view text, size_t columns) {
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if ((text[end] & 0xC0) != 0x80 && ++seen > columns) break;
  }
  return text.substr(0, end);
}

// "1,234", "-3.5 %", "12.3 KB", "-" and the empty cell go with numbers.
bool is_numeric(std::string_view cell) {
  if (cell.empty() || cell == "-") return true;
  const size_t start = cell.find_first_of("0123456789");
  if (start == std::string_view::npos || cell.substr(0, start).find_first_not_of("+-.") != std::string_view::npos)
    return false;
  const size_t end = cell.find_first_not_of("0123456789.,e+-", start);
  if (end == std::string_view::npos) return true;
  return cell[end] == ' ' && cell.size() - end <= 4;
}

std::string fitted(std::string_view cell, size_t width, bool right) {
  const size_t columns = columns_of(cell);
  if (columns > width) return fmt::format("{}~", first_columns(cell, width - 1));
  const std::string padding(width - columns, ' ');
  return right ? padding + std::string(cell) : std::string(cell) + padding;
}

}  // namespace

Table::Table(std::vector<std::string> header) : header_(std::move(header)) {}

void Table::add(std::vector<std::string> cells) {
  cells.resize(header_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(size_t width) const {
  constexpr size_t gap = 2;
  constexpr size_t narrowest = 8;
  const size_t count = header_.size();
  std::vector<size_t> widths(count);
  std::vector<bool> numeric(count, true);
  for (size_t column = 0; column < count; ++column) {
    widths[column] = columns_of(header_[column]);
    for (const auto& row : rows_) {
      widths[column] = std::max(widths[column], columns_of(row[column]));
      numeric[column] = numeric[column] && is_numeric(row[column]);
    }
  }
  size_t total = gap * (count > 0 ? count - 1 : 0);
  for (const size_t columns : widths) total += columns;
  while (total > width) {
    size_t widest = count;
    for (size_t column = 0; column < count; ++column)
      if (!numeric[column] && widths[column] > narrowest && (widest == count || widths[column] > widths[widest]))
        widest = column;
    if (widest == count) break;
    --widths[widest];
    --total;
  }

  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t column = 0; column < count; ++column) {
      if (column > 0) line.append(gap, ' ');
      line += fitted(cells[column], widths[column], numeric[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  add_line(header_);
  for (const auto& row : rows_) add_line(row);
  return text;
}

std::string count_text(int64_t count) {
  std::string text = fmt::format("{}", count);
  const size_t sign = count < 0 ? 1 : 0;
  for (size_t at = text.size(); at > sign + 3;) text.insert(at -= 3, 1, ',');
  return text;
}

std::string bytes_text(int64_t bytes) {
  constexpr std::array units = {"KB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  // 999.95 would be printed as 1000.0.
  for (; value >= 999.95 && unit + 1 < units.size(); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string percent_text(double fraction, int decimals) { return fmt::format("{:.{}f} %", fraction * 100, decimals); }

std::string duration_text(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace pare
