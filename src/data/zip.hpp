// Reads zip archives (PKWARE APPNOTE 6.3.10) from memory: stored and deflated members, zip64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/core/files.hpp"

namespace pare {

struct ZipMember {
  std::string name;
  uint64_t method = 0;  // 0: stored, 8: deflated
  uint64_t crc = 0;
  uint64_t compressed = 0;  // bytes in the file
  uint64_t size = 0;
  uint64_t offset = 0;  // of the local header
};

class ZipArchive {
 public:
  // Reads the directory. Throws (exit 3) naming `path` and the offset when it is malformed, and for archives in parts.
  ZipArchive(Bytes bytes, std::string path);

  const std::vector<ZipMember>& members() const { return members_; }
  // A member's content, checked against its CRC; stored members alias the archive. Throws (exit 3) when it is damaged,
  // encrypted or packed in another way.
  Bytes read(const ZipMember& member) const;

 private:
  uint64_t number(uint64_t offset, int bytes) const;
  void read_directory();
  void read_zip64_extra(uint64_t offset, uint64_t bytes, ZipMember& member) const;
  Bytes inflated(const ZipMember& member, const Bytes& packed) const;
  [[noreturn]] void malformed(uint64_t offset, const char* what) const;

  Bytes bytes_;
  std::string path_;
  std::vector<ZipMember> members_;
};

}  // namespace pare
