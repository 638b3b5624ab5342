#include "formats/hdf5_table.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "formats/hdf5_file.hpp"
#include "formats/hdf5_library.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

using hdf5::Id;
using hdf5::read_ok;
using hdf5::write_ok;
using Texts = std::vector<std::string>;
using Integers = std::vector<int64_t>;

// One column as it lies in a record.
struct Field {
  Id type;
  size_t size = 0;     // of the whole field
  size_t element = 0;  // of one integer; of the whole text
};

hid_t narrowest_type(const Integers& values) {
  const auto [low, high] = values.empty() ? std::pair<int64_t, int64_t>(0, 0)
                                          : std::pair(*std::min_element(values.begin(), values.end()),
                                                      *std::max_element(values.begin(), values.end()));
  const auto fits = [low = low, high = high](int64_t least, int64_t most) { return low >= least && high <= most; };
  if (fits(0, UINT8_MAX)) return H5T_STD_U8LE;
  if (fits(INT8_MIN, INT8_MAX)) return H5T_STD_I8LE;
  if (fits(0, UINT16_MAX)) return H5T_STD_U16LE;
  if (fits(INT16_MIN, INT16_MAX)) return H5T_STD_I16LE;
  if (fits(0, UINT32_MAX)) return H5T_STD_U32LE;
  if (fits(INT32_MIN, INT32_MAX)) return H5T_STD_I32LE;
  return H5T_STD_I64LE;
}

Field text_field(size_t size) {
  Id type(write_ok(H5Tcopy(H5T_C_S1), "HDF5 text type"));
  H5Tset_size(type.get(), size);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return {std::move(type), size, size};
}

Field integer_field(hid_t element, size_t width) {
  const size_t element_size = H5Tget_size(element);
  const hsize_t dims = width;
  Id type(write_ok(width == 0 ? H5Tcopy(element) : H5Tarray_create2(element, 1, &dims), "HDF5 integer type"));
  return {std::move(type), element_size * std::max<size_t>(width, 1), element_size};
}

Field field_of(const Hdf5Column& column) {
  if (const auto* integers = std::get_if<Integers>(&column.values))
    return integer_field(narrowest_type(*integers), column.width);
  size_t longest = 1;
  for (const std::string& text : std::get<Texts>(column.values)) longest = std::max(longest, text.size());
  return text_field(longest);
}

Id record_type(const std::vector<std::string>& names, const std::vector<Field>& fields, size_t size) {
  Id type(write_ok(H5Tcreate(H5T_COMPOUND, size), "HDF5 record type"));
  size_t offset = 0;
  for (size_t i = 0; i < fields.size(); ++i) {
    write_ok(H5Tinsert(type.get(), names[i].c_str(), offset, fields[i].type.get()),
             fmt::format("column '{}'", names[i]));
    offset += fields[i].size;
  }
  return type;
}

// The field's value of one row in the file's types, which are little endian.
void store(const Hdf5Column& column, const Field& field, size_t row, char* target) {
  if (const auto* texts = std::get_if<Texts>(&column.values)) {
    std::memcpy(target, (*texts)[row].data(), (*texts)[row].size());
    return;
  }
  const auto& integers = std::get<Integers>(column.values);
  const size_t count = std::max<size_t>(column.width, 1);
  for (size_t i = 0; i < count; ++i) std::memcpy(target + i * field.element, &integers[row * count + i], field.element);
}

// How the member of a stored record is read: text as it is, integers as int64. Members of other kinds are left out: a
// later version may add them.
struct Member {
  std::string name;
  Field field;
  bool text = false;
  size_t width = 0;
};

std::vector<Member> readable_members(const Id& type, const std::string& what) {
  std::vector<Member> members;
  const int count = read_ok(H5Tget_nmembers(type.get()), what);
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<unsigned>(i);
    char* raw_name = H5Tget_member_name(type.get(), index);
    if (raw_name == nullptr) fail_input("{}: cannot be read ({})", what, hdf5::reason());
    const std::string name = raw_name;
    H5free_memory(raw_name);
    const Id member(read_ok(H5Tget_member_type(type.get(), index), what));
    switch (H5Tget_class(member.get())) {
      case H5T_STRING:
        if (H5Tis_variable_str(member.get()) == 0)
          members.push_back({name, text_field(H5Tget_size(member.get())), true, 0});
        break;
      case H5T_INTEGER:
        members.push_back({name, integer_field(H5T_NATIVE_INT64, 0), false, 0});
        break;
      case H5T_ARRAY: {
        const Id element(read_ok(H5Tget_super(member.get()), what));
        hsize_t width = 0;
        if (H5Tget_class(element.get()) != H5T_INTEGER || H5Tget_array_ndims(member.get()) != 1) break;
        read_ok(H5Tget_array_dims2(member.get(), &width), what);
        members.push_back({name, integer_field(H5T_NATIVE_INT64, width), false, width});
        break;
      }
      default:
        break;
    }
  }
  return members;
}

void take_column(Hdf5Table& table, const Member& member, const std::string& records, size_t offset,
                 size_t record_size) {
  if (member.text) {
    Texts texts;
    for (size_t row = 0; row < table.rows(); ++row) {
      std::string text = records.substr(row * record_size + offset, member.field.size);
      text.resize(text.find_last_not_of('\0') + 1);
      texts.push_back(std::move(text));
    }
    table.add(member.name, std::move(texts));
    return;
  }
  const size_t count = std::max<size_t>(member.width, 1);
  Integers integers(table.rows() * count);
  for (size_t row = 0; row < table.rows(); ++row)
    std::memcpy(&integers[row * count], records.data() + row * record_size + offset, count * sizeof(int64_t));
  table.add(member.name, std::move(integers), member.width);
}

}  // namespace

void Hdf5Table::add(std::string name, Texts values) { columns_.push_back({std::move(name), std::move(values), 0}); }

void Hdf5Table::add(std::string name, Integers values, size_t width) {
  columns_.push_back({std::move(name), std::move(values), width});
}

bool Hdf5Table::has(const std::string& name) const {
  return std::any_of(columns_.begin(), columns_.end(), [&](const Hdf5Column& column) { return column.name == name; });
}

const Hdf5Column& Hdf5Table::column(const std::string& name) const {
  for (const Hdf5Column& column : columns_)
    if (column.name == name) return column;
  fail_input("column '{}': is missing", name);
}

const Texts& Hdf5Table::texts(const std::string& name) const {
  const auto* texts = std::get_if<Texts>(&column(name).values);
  if (texts == nullptr) fail_input("column '{}': holds integers (expected text)", name);
  return *texts;
}

const Integers& Hdf5Table::integers(const std::string& name) const {
  const auto* integers = std::get_if<Integers>(&column(name).values);
  if (integers == nullptr) fail_input("column '{}': holds text (expected integers)", name);
  return *integers;
}

size_t Hdf5Table::width(const std::string& name) const { return std::max<size_t>(column(name).width, 1); }

void Hdf5Group::write_table(const std::string& name, const Hdf5Table& table) {
  const auto guard = hdf5::lock();
  const std::string what = fmt::format("dataset '{}'", name);
  std::vector<std::string> names;
  std::vector<Field> fields;
  size_t record_size = 0;
  for (const Hdf5Column& column : table.columns()) {
    names.push_back(column.name);
    fields.push_back(field_of(column));
    record_size += fields.back().size;
  }
  std::string records(record_size * table.rows(), '\0');
  for (size_t row = 0; row < table.rows(); ++row) {
    char* target = records.data() + row * record_size;
    for (size_t i = 0; i < fields.size(); target += fields[i].size, ++i)
      store(table.columns()[i], fields[i], row, target);
  }
  const Id type = record_type(names, fields, record_size);
  hdf5::write_dataset(*id_, name, type, table.rows(), records);
}

Hdf5Table Hdf5Group::read_table(const std::string& name) const {
  const auto guard = hdf5::lock();
  const std::string what = fmt::format("dataset '{}'", name);
  const Id dataset(read_ok(H5Dopen2(id_->get(), name.c_str(), H5P_DEFAULT), what));
  const Id space(read_ok(H5Dget_space(dataset.get()), what));
  const Id type(read_ok(H5Dget_type(dataset.get()), what));
  if (H5Tget_class(type.get()) != H5T_COMPOUND || H5Sget_simple_extent_ndims(space.get()) != 1)
    fail_input("{}: is not a table", what);
  hdf5::checked_size(dataset, space, what);
  const auto rows = static_cast<size_t>(H5Sget_simple_extent_npoints(space.get()));
  std::vector<Member> members = readable_members(type, what);
  Hdf5Table table(rows);
  if (members.empty()) return table;
  std::vector<std::string> names;
  std::vector<Field> fields;
  size_t record_size = 0;
  for (Member& member : members) {
    names.push_back(member.name);
    record_size += member.field.size;
    fields.push_back({Id(H5Tcopy(member.field.type.get())), member.field.size, member.field.element});
  }
  const Id memory_type = record_type(names, fields, record_size);
  std::string records(record_size * rows, '\0');
  if (rows > 0) read_ok(H5Dread(dataset.get(), memory_type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, records.data()), what);
  size_t offset = 0;
  for (const Member& member : members) {
    take_column(table, member, records, offset, record_size);
    offset += member.field.size;
  }
  return table;
}

}  // namespace pare
