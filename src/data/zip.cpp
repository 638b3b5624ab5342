#include "src/data/zip.hpp"

#include <algorithm>

#include <zlib.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr uint64_t end_magic = 0x06054b50, zip64_end_magic = 0x06064b50, zip64_locator_magic = 0x07064b50;
constexpr uint64_t central_magic = 0x02014b50, local_magic = 0x04034b50;
constexpr uint64_t end_bytes = 22, central_bytes = 46, local_bytes = 30, locator_bytes = 20;
constexpr uint64_t in_extra = 0xffffffff;

}  // namespace

ZipArchive::ZipArchive(Bytes bytes, std::string path) : bytes_(std::move(bytes)), path_(std::move(path)) {
  read_directory();
}

void ZipArchive::malformed(uint64_t offset, const char* what) const {
  fail_input("{}: damaged zip archive ({} at offset {}); copy it again", path_, what, offset);
}

uint64_t ZipArchive::number(uint64_t offset, int bytes) const {
  if (offset > bytes_.size() || bytes_.size() - offset < static_cast<uint64_t>(bytes)) malformed(offset, "cut off");
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value |= std::to_integer<uint64_t>(bytes_.data()[offset + static_cast<uint64_t>(i)]) << (8 * i);
  return value;
}

void ZipArchive::read_zip64_extra(uint64_t offset, uint64_t bytes, ZipMember& member) const {
  const uint64_t end = offset + bytes;
  while (offset + 4 <= end) {
    const uint64_t kind = number(offset, 2), length = number(offset + 2, 2);
    offset += 4;
    if (kind == 1) {
      // The fields stand in this order, each only where the old field says so.
      for (uint64_t* field : {&member.size, &member.compressed, &member.offset})
        if (*field == in_extra) {
          if (offset + 8 > end) malformed(offset, "short zip64 field");
          *field = number(offset, 8);
          offset += 8;
        }
      return;
    }
    offset += length;
  }
}

void ZipArchive::read_directory() {
  constexpr uint64_t longest_comment = 0xffff;
  const uint64_t size = bytes_.size();
  if (size < end_bytes) malformed(0, "too short");
  uint64_t end = size - end_bytes;
  while (number(end, 4) != end_magic) {
    if (end == 0 || size - end > end_bytes + longest_comment) malformed(size, "no end of the directory");
    --end;
  }
  uint64_t count = number(end + 10, 2), at = number(end + 16, 4);
  if (number(end + 4, 2) != 0 && number(end + 4, 2) != 0xffff) fail_input("{}: a zip archive in parts", path_);
  if (end >= locator_bytes && number(end - locator_bytes, 4) == zip64_locator_magic) {
    const uint64_t zip64_end = number(end - locator_bytes + 8, 8);
    if (number(zip64_end, 4) != zip64_end_magic) malformed(zip64_end, "no zip64 directory");
    count = number(zip64_end + 32, 8);
    at = number(zip64_end + 48, 8);
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (number(at, 4) != central_magic) malformed(at, "no directory entry");
    if ((number(at + 8, 2) & 1) != 0) fail_input("{}: encrypted zip archives cannot be read", path_);
    ZipMember member{
        "", number(at + 10, 2), number(at + 16, 4), number(at + 20, 4), number(at + 24, 4), number(at + 42, 4)};
    const uint64_t name = number(at + 28, 2), extra = number(at + 30, 2), comment = number(at + 32, 2);
    if (at + central_bytes + name + extra > size) malformed(at, "cut off");
    member.name = bytes_.text().substr(at + central_bytes, name);
    read_zip64_extra(at + central_bytes + name, extra, member);
    at += central_bytes + name + extra + comment;
    members_.push_back(std::move(member));
  }
}

Bytes ZipArchive::inflated(const ZipMember& member, const Bytes& packed) const {
  constexpr uint64_t most_per_byte = 1032;  // the limit of deflate: zlib's technical notes
  if (member.size > (member.compressed + 1) * most_per_byte) malformed(member.offset, "impossible size");
  std::byte* target = nullptr;
  Bytes content = Bytes::allocate(member.size, &target);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail_run("{}: zlib cannot start", path_);
  constexpr uint64_t part = uint64_t{1} << 30;
  uint64_t in = 0, out = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + in));
    stream.avail_in = static_cast<uInt>(std::min(part, packed.size() - in));
    stream.next_out = reinterpret_cast<Bytef*>(target + out);
    stream.avail_out = static_cast<uInt>(std::min(part, member.size - out));
    const uInt in_before = stream.avail_in, out_before = stream.avail_out;
    state = inflate(&stream, Z_NO_FLUSH);
    in += in_before - stream.avail_in;
    out += out_before - stream.avail_out;
    if (state == Z_OK && in_before == stream.avail_in && out_before == stream.avail_out) break;
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || out != member.size) malformed(member.offset, "damaged data");
  return content;
}

Bytes ZipArchive::read(const ZipMember& member) const {
  const uint64_t at = member.offset;
  if (number(at, 4) != local_magic) malformed(at, "no local header");
  const uint64_t start = at + local_bytes + number(at + 26, 2) + number(at + 28, 2);
  if (start > bytes_.size() || member.compressed > bytes_.size() - start) malformed(at, "data is cut off");
  const Bytes packed = bytes_.part(bytes_.text().substr(start, member.compressed));
  if (member.method != 0 && member.method != 8)
    fail_input("{}: member '{}' is packed in an unknown way (got method {}, expected 0 or 8)", path_, member.name,
               member.method);
  if (member.method == 0 && member.size != member.compressed) malformed(at, "two sizes of a stored member");
  Bytes content = member.method == 0 ? packed : inflated(member, packed);
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  if (crc != member.crc) malformed(at, "the checksum differs");
  return content;
}

}  // namespace pare
