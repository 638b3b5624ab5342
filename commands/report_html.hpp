// The report as a page for people: one file without scripts, fonts or links, for a browser or a CI artifact.
#pragma once

#include <string>

#include "src/core/json.hpp"

namespace pare {

// HTML of a Report::document(): the outcome first, then each section as a table, and the history as curves. Everything
// that the document holds is on the page; text is escaped, and bytes that are no UTF-8 are replaced.
std::string report_page(const Json& document);

}  // namespace pare
