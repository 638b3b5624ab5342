#include "formats/onnx_external.hpp"

#include <array>
#include <filesystem>

#include <nettle/sha1.h>
#include <sys/stat.h>

#include "formats/onnx_proto.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

// What a file is, whatever its name: the same identity means the same content.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified = 0;

  bool operator==(const Identity&) const = default;
};

Identity identity_of(const fs::path& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec};
}

// The last file: a model's tensors mostly lie in one, which is mapped and checked once.
struct OpenFile {
  Identity identity;
  Bytes bytes;
  std::string sha1;  // empty: not computed yet
};

OpenFile& open_file(const fs::path& path) {
  thread_local OpenFile last;
  const Identity identity = identity_of(path);
  if (last.bytes.size() == 0 || !(last.identity == identity)) last = {identity, map_file(path.string()), ""};
  return last;
}

std::string sha1_hex(std::span<const std::byte> bytes) {
  sha1_ctx context;
  sha1_init(&context);
  sha1_update(&context, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  std::array<uint8_t, SHA1_DIGEST_SIZE> digest;
  sha1_digest(&context, digest.size(), digest.data());
  std::string text;
  for (const uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string lower(std::string text) {
  for (char& letter : text)
    if (letter >= 'A' && letter <= 'F') letter = static_cast<char>(letter - 'A' + 'a');
  return text;
}

// The path of a location that stays inside the model's folder.
fs::path resolved(const std::string& location, const std::string& folder) {
  const fs::path relative(location);
  if (location.empty() || relative.is_absolute() || location.find('\0') != std::string::npos)
    fail_input("external data: location '{}' must be relative to the model", location);
  for (const auto& part : relative)
    if (part == "..") fail_input("external data: location '{}' leaves the model's folder", location);
  std::error_code error;
  const fs::path root = fs::weakly_canonical(folder.empty() ? fs::path(".") : fs::path(folder), error);
  const fs::path target = fs::weakly_canonical(root / relative, error);
  if (error) fail_input("external data: location '{}' cannot be followed ({})", location, error.message());
  const fs::path inside = target.lexically_relative(root);
  if (inside.empty() || *inside.begin() == "..")
    fail_input("external data: location '{}' leaves the model's folder by a symbolic link", location);
  if (fs::exists(target, error) && !fs::is_regular_file(target, error))
    fail_input("external data: location '{}' is not a regular file", location);
  return target;
}

}  // namespace

void read_external_entry(std::string_view message, ExternalReference& reference) {
  protozero::pbf_reader entry = reader_of(message);
  std::string key;
  std::string value;
  while (entry.next()) {
    switch (entry.tag()) {
      case onnx_proto::StringStringEntry::key:
        key = entry.get_string();
        break;
      case onnx_proto::StringStringEntry::value:
        value = entry.get_string();
        break;
      default:
        entry.skip();
    }
  }
  const auto number = [&] {
    char* end = nullptr;
    const int64_t parsed = std::strtoll(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || parsed < 0)
      fail_input("external data: {} is not a size (got '{}')", key, value);
    return parsed;
  };
  if (key == "location") reference.location = value;
  if (key == "offset") reference.offset = number();
  if (key == "length") reference.length = number();
  if (key == "checksum") reference.checksum = value;
}

Bytes external_bytes(const ExternalReference& reference, int64_t size, const std::string& folder) {
  OpenFile& file = open_file(resolved(reference.location, folder));
  if (reference.length >= 0 && reference.length != size)
    fail_input("external data: length does not fit the shape (got {}, expected {})", reference.length, size);
  const auto available = static_cast<int64_t>(file.bytes.size());
  if (reference.offset > available || size > available - reference.offset)
    fail_input("external data: '{}' is too short (got {} bytes, expected {} at offset {})", reference.location,
               available, size, reference.offset);
  if (!reference.checksum.empty()) {
    if (file.sha1.empty()) file.sha1 = sha1_hex(file.bytes.span());
    if (lower(reference.checksum) != file.sha1)
      fail_input("external data: '{}' has another checksum (got {}, expected {}); the file was changed or damaged",
                 reference.location, file.sha1, reference.checksum);
  }
  return file.bytes.part(file.bytes.text().substr(static_cast<size_t>(reference.offset), static_cast<size_t>(size)));
}

ExternalReference ExternalData::add(const Bytes& data) {
  // Pages can be mapped on their own; small tensors only need the alignment of vector instructions.
  const size_t alignment = data.size() >= (size_t{1} << 20) ? 4096 : 64;
  if (const size_t rest = bytes_.size() % alignment; rest != 0) bytes_.append(std::string(alignment - rest, '\0'));
  ExternalReference reference{location_, static_cast<int64_t>(bytes_.size()), static_cast<int64_t>(data.size()), ""};
  bytes_.append(data);
  return reference;
}

}  // namespace pare
