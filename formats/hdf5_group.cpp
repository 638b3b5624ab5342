#include "formats/hdf5_file.hpp"
#include "formats/hdf5_library.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

using hdf5::Id;
using hdf5::read_ok;
using hdf5::write_ok;

std::string named(const char* kind, const std::string& name) { return fmt::format("{} '{}'", kind, name); }

// Text of exactly `size` bytes, padded with NUL.
Id text_type(size_t size) {
  Id type(write_ok(H5Tcopy(H5T_C_S1), "HDF5 text type"));
  H5Tset_size(type.get(), std::max<size_t>(size, 1));
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

// Checks that `type` is fixed-length text and returns its length.
size_t text_length(const Id& type, const std::string& what) {
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0)
    fail_input("{}: is not text of fixed length; was the file changed by another program?", what);
  return H5Tget_size(type.get());
}

std::string without_padding(std::string text) {
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

Id attribute_of(const Id& group, const std::string& name, hssize_t points) {
  Id attribute(read_ok(H5Aopen(group.get(), name.c_str(), H5P_DEFAULT), named("attribute", name)));
  const Id space(read_ok(H5Aget_space(attribute.get()), named("attribute", name)));
  if (H5Sget_simple_extent_npoints(space.get()) != points) fail_input("attribute '{}': is not a single value", name);
  return attribute;
}

void write_attribute(const Id& group, const std::string& name, const Id& type, const void* value) {
  const std::string what = named("attribute", name);
  const Id space(write_ok(H5Screate(H5S_SCALAR), what));
  const Id attribute(
      write_ok(H5Acreate2(group.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), what));
  write_ok(H5Awrite(attribute.get(), type.get(), value), what);
}

}  // namespace

bool Hdf5Group::has(const std::string& name) const {
  const auto guard = hdf5::lock();
  return H5Lexists(id_->get(), name.c_str(), H5P_DEFAULT) > 0;
}

bool Hdf5Group::has_attribute(const std::string& name) const {
  const auto guard = hdf5::lock();
  return H5Aexists(id_->get(), name.c_str()) > 0;
}

std::string Hdf5Group::attribute(const std::string& name) const {
  const auto guard = hdf5::lock();
  const std::string what = named("attribute", name);
  const Id attribute = attribute_of(*id_, name, 1);
  const Id type(read_ok(H5Aget_type(attribute.get()), what));
  std::string text(text_length(type, what), '\0');
  read_ok(H5Aread(attribute.get(), type.get(), text.data()), what);
  return without_padding(std::move(text));
}

int64_t Hdf5Group::integer_attribute(const std::string& name) const {
  const auto guard = hdf5::lock();
  const std::string what = named("attribute", name);
  const Id attribute = attribute_of(*id_, name, 1);
  const Id type(read_ok(H5Aget_type(attribute.get()), what));
  if (H5Tget_class(type.get()) != H5T_INTEGER) fail_input("{}: is not an integer", what);
  int64_t value = 0;
  read_ok(H5Aread(attribute.get(), H5T_NATIVE_INT64, &value), what);
  return value;
}

Bytes Hdf5Group::read_bytes(const std::string& name) const {
  const auto guard = hdf5::lock();
  const std::string what = named("dataset", name);
  const Id dataset(read_ok(H5Dopen2(id_->get(), name.c_str(), H5P_DEFAULT), what));
  const Id space(read_ok(H5Dget_space(dataset.get()), what));
  const Id type(read_ok(H5Dget_type(dataset.get()), what));
  if (H5Tget_class(type.get()) != H5T_INTEGER || H5Tget_size(type.get()) != 1 ||
      H5Sget_simple_extent_ndims(space.get()) != 1)
    fail_input("{}: is not a one-dimensional array of bytes", what);
  std::byte* target = nullptr;
  Bytes bytes = Bytes::allocate(hdf5::checked_size(dataset, space, what), &target);
  if (bytes.size() > 0) read_ok(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, target), what);
  return bytes;
}

std::string Hdf5Group::read_text(const std::string& name) const {
  const auto guard = hdf5::lock();
  const std::string what = named("dataset", name);
  const Id dataset(read_ok(H5Dopen2(id_->get(), name.c_str(), H5P_DEFAULT), what));
  const Id space(read_ok(H5Dget_space(dataset.get()), what));
  const Id type(read_ok(H5Dget_type(dataset.get()), what));
  const size_t length = text_length(type, what);
  if (hdf5::checked_size(dataset, space, what) != length) fail_input("{}: is not a single text", what);
  std::string text(length, '\0');
  read_ok(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()), what);
  return without_padding(std::move(text));
}

Hdf5Group Hdf5Group::create_group(const std::string& name, unsigned links) {
  const auto guard = hdf5::lock();
  const std::string what = named("group", name);
  const Id settings(write_ok(H5Pcreate(H5P_GROUP_CREATE), what));
  hdf5::set_links(settings, links);
  return Hdf5Group(std::make_shared<const Id>(
      write_ok(H5Gcreate2(id_->get(), name.c_str(), H5P_DEFAULT, settings.get(), H5P_DEFAULT), what)));
}

void Hdf5Group::set_attribute(const std::string& name, const std::string& text) {
  const auto guard = hdf5::lock();
  write_attribute(*id_, name, text_type(text.size()), text.c_str());
}

void Hdf5Group::set_attribute(const std::string& name, int64_t value) {
  const auto guard = hdf5::lock();
  write_attribute(*id_, name, Id(H5Tcopy(H5T_STD_I64LE)), &value);
}

void Hdf5Group::write_bytes(const std::string& name, const ByteRope& bytes) {
  const auto guard = hdf5::lock();
  const std::string what = named("dataset", name);
  const hsize_t size = bytes.size();
  const Id space(write_ok(H5Screate_simple(1, &size, nullptr), what));
  const Id dataset(write_ok(H5Dcreate2(id_->get(), name.c_str(), H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                                       hdf5::dataset_settings(H5D_CONTIGUOUS).get(), H5P_DEFAULT),
                            what));
  hsize_t offset = 0;
  for (const Bytes& piece : bytes.pieces()) {
    const hsize_t count = piece.size();
    const Id part(write_ok(H5Screate_simple(1, &count, nullptr), what));
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &offset, nullptr, &count, nullptr);
    write_ok(H5Dwrite(dataset.get(), H5T_STD_U8LE, part.get(), space.get(), H5P_DEFAULT, piece.data()), what);
    offset += count;
  }
}

void Hdf5Group::write_deflated(const std::string& name, const Bytes& bytes) {
  const auto guard = hdf5::lock();
  hdf5::write_dataset(*id_, name, Id(H5Tcopy(H5T_STD_U8LE)), bytes.size(), bytes.text());
}

void Hdf5Group::write_text(const std::string& name, const std::string& text) {
  const auto guard = hdf5::lock();
  // HDF5 has no text of length 0.
  hdf5::write_dataset(*id_, name, text_type(text.size()), 1, text.empty() ? std::string_view("\0", 1) : text, true);
}

}  // namespace pare
