// A table of named columns, stored as one HDF5 dataset of a compound type: a record a row, each column as narrow as its
// values allow.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace pare {

struct Hdf5Column {
  std::string name;
  // Integers: rows x max(width, 1), row-major.
  std::variant<std::vector<std::string>, std::vector<int64_t>> values;
  size_t width = 0;  // 0: one value a row; n: an array of n values a row
};

class Hdf5Table {
 public:
  explicit Hdf5Table(size_t rows) : rows_(rows) {}

  size_t rows() const { return rows_; }
  const std::vector<Hdf5Column>& columns() const { return columns_; }

  // Adds a column; `values` holds rows x max(width, 1).
  void add(std::string name, std::vector<std::string> values);
  void add(std::string name, std::vector<int64_t> values, size_t width = 0);

  bool has(const std::string& name) const;
  // The column's values. Throw (exit 3) when there is no such column or it has another kind.
  const std::vector<std::string>& texts(const std::string& name) const;
  const std::vector<int64_t>& integers(const std::string& name) const;
  // Integers a row of the column.
  size_t width(const std::string& name) const;

 private:
  const Hdf5Column& column(const std::string& name) const;

  size_t rows_;
  std::vector<Hdf5Column> columns_;
};

}  // namespace pare
