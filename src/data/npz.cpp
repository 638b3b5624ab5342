#include "src/data/npz.hpp"

#include <array>
#include <fstream>
#include <string_view>

#include <zlib.h>

#include "src/core/error.hpp"
#include "src/data/array_data.hpp"
#include "src/data/npy.hpp"
#include "src/data/zip.hpp"

namespace pare {
namespace {

// Little-endian fields of the zip format (PKWARE APPNOTE 6.3.10). Sizes and offsets stand in zip64 extra fields, so
// that arrays over 4 GB need no other form.
void append(std::string& text, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
}

constexpr uint64_t in_extra = 0xffffffff;
constexpr uint64_t zip64_version = 45;
constexpr uint64_t january_1_1980 = 0x21;

struct Member {
  std::string name;
  std::string header;  // of the .npy
  const Tensor* tensor = nullptr;
  uint64_t crc = 0;
  uint64_t offset = 0;

  uint64_t size() const { return header.size() + tensor->data.size(); }
};

const char* numpy_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "<f4";
    case DType::float64:
      return "<f8";
    case DType::float16:
      return "<f2";
    case DType::int8:
      return "|i1";
    case DType::int16:
      return "<i2";
    case DType::int32:
      return "<i4";
    case DType::int64:
      return "<i8";
    case DType::uint8:
      return "|u1";
    case DType::uint16:
      return "<u2";
    case DType::uint32:
      return "<u4";
    case DType::uint64:
      return "<u8";
    case DType::boolean:
      return "|b1";
    default:
      fail_input("npz: {} has no NumPy type", dtype_name(dtype));
  }
}

// Version 1.0 of the .npy header, padded so that the data starts at a multiple of 64.
std::string npy_header(const Tensor& tensor) {
  std::string shape;
  for (const int64_t size : tensor.shape) shape += fmt::format("{},", size);
  std::string description =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", numpy_type(tensor.dtype), shape);
  constexpr size_t before = 10;
  while ((before + description.size() + 1) % 64 != 0) description += ' ';
  description += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  append(header, description.size(), 2);
  return header + description;
}

uint64_t crc_of(const Member& member) {
  uLong crc = crc32(0, reinterpret_cast<const Bytef*>(member.header.data()), static_cast<uInt>(member.header.size()));
  return crc32_z(crc, reinterpret_cast<const Bytef*>(member.tensor->data.data()), member.tensor->data.size());
}

// What local and central headers share: version to .. name length.
void append_common(std::string& text, const Member& member, uint64_t extra_bytes) {
  append(text, zip64_version, 2);
  append(text, 0x0800, 2);  // names are UTF-8
  append(text, 0, 2);       // stored
  append(text, 0, 2);
  append(text, january_1_1980, 2);
  append(text, member.crc, 4);
  append(text, in_extra, 4);
  append(text, in_extra, 4);
  append(text, member.name.size(), 2);
  append(text, extra_bytes, 2);
}

std::string local_header(const Member& member) {
  std::string text;
  append(text, 0x04034b50, 4);
  append_common(text, member, 20);
  text += member.name;
  append(text, 1, 2);
  append(text, 16, 2);
  append(text, member.size(), 8);
  append(text, member.size(), 8);
  return text;
}

std::string central_header(const Member& member) {
  std::string text;
  append(text, 0x02014b50, 4);
  append(text, zip64_version, 2);
  append_common(text, member, 28);
  append(text, 0, 2);  // comment
  append(text, 0, 2);  // disk
  append(text, 0, 2);  // internal attributes
  append(text, 0, 4);  // external attributes
  append(text, in_extra, 4);
  text += member.name;
  append(text, 1, 2);
  append(text, 24, 2);
  append(text, member.size(), 8);
  append(text, member.size(), 8);
  append(text, member.offset, 8);
  return text;
}

// The end of the directory, in its zip64 form and in the old one that points to it.
std::string directory_end(uint64_t members, uint64_t offset, uint64_t size) {
  std::string text;
  append(text, 0x06064b50, 4);
  append(text, 44, 8);
  append(text, zip64_version, 2);
  append(text, zip64_version, 2);
  append(text, 0, 8);
  append(text, members, 8);
  append(text, members, 8);
  append(text, size, 8);
  append(text, offset, 8);
  append(text, 0x07064b50, 4);
  append(text, 0, 4);
  append(text, offset + size, 8);
  append(text, 1, 4);
  append(text, 0x06054b50, 4);
  append(text, 0, 4);
  append(text, 0xffff, 2);
  append(text, 0xffff, 2);
  append(text, in_extra, 4);
  append(text, in_extra, 4);
  append(text, 0, 2);
  return text;
}

}  // namespace

void save_npz(const std::vector<NamedTensor>& tensors, const std::string& path) {
  std::vector<Member> members;
  for (const NamedTensor& named : tensors) {
    Member member{named.name + ".npy", npy_header(named.tensor), &named.tensor, 0, 0};
    member.crc = crc_of(member);
    members.push_back(std::move(member));
  }
  AtomicFile file(path);
  uint64_t offset = 0;
  std::string directory;
  for (Member& member : members) {
    member.offset = offset;
    const std::string header = local_header(member);
    file.write(header);
    file.write(member.header);
    file.write(member.tensor->data.text());
    offset += header.size() + member.size();
    directory += central_header(member);
  }
  file.write(directory);
  file.write(directory_end(members.size(), offset, directory.size()));
  file.commit();
}

std::vector<NamedTensor> load_npz(const std::string& path) {
  const ZipArchive archive(map_file(path), path);
  std::vector<NamedTensor> tensors;
  for (const ZipMember& member : archive.members()) {
    std::string name = member.name;
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    tensors.push_back({name, read_npy(archive.read(member), fmt::format("{}: '{}'", path, member.name))});
  }
  return tensors;
}

bool is_npz(const std::string& path) {
  std::array<char, 4> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), 2) == "PK" && (start[2] == 3 || start[2] == 5);
}

DatasetPtr open_npz(const std::string& path, const DataRequest& request) {
  return dataset_of_arrays(path, load_npz(path), request);
}

}  // namespace pare
