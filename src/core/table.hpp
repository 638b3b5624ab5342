// Text for people: aligned tables and numbers with units.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pare {

class Table {
 public:
  explicit Table(std::vector<std::string> header);

  // As many cells as the header has; missing ones are empty.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // Lines of at most `width` columns, two spaces between columns; a column of numbers is right-aligned. Too wide a
  // table has its widest text column cut, with "~" for what is missing.
  std::string text(size_t width = 80) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// "1,234,567".
std::string count_text(int64_t count);
// "812 B", "121.3 KB", "4.2 MB": powers of 1000.
std::string bytes_text(int64_t bytes);
// A fraction as "80.00 %".
std::string percent_text(double fraction, int decimals = 2);
// "0.8 s", "3 min 20 s", "2 h 05 min".
std::string duration_text(double seconds);

}  // namespace pare
