// Files: mapped for reading, replaced atomically for writing.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pare {

// Bytes with an owner: a mapped file, a heap buffer, or a part of either. Copies share the owner.
class Bytes {
 public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, std::span<const std::byte> view) : owner_(std::move(owner)), view_(view) {}

  // Takes over `text`'s storage.
  static Bytes own(std::string text);
  // A zero-filled heap buffer, 64-byte aligned; `*writable` is its start and stays valid as long as the Bytes live.
  static Bytes allocate(size_t size, std::byte** writable);

  std::span<const std::byte> span() const { return view_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(view_.data()), view_.size()}; }
  const std::byte* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  // A part of these bytes with the same owner. `part` must lie inside span().
  Bytes part(std::string_view part) const;

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> view_;
};

// Maps the file for reading. Errors: missing or a folder (exit 2), unreadable (exit 1).
Bytes map_file(const std::string& path);

// Reads a whole file into memory, as map_file for errors.
std::string read_file(const std::string& path);

// Lower-case hexadecimal SHA-256 (FIPS 180-4).
std::string sha256_hex(std::span<const std::byte> bytes);

// A file that appears under its name complete or not at all: written to `<path>.tmp-<pid>`, fsynced, renamed, folder
// fsynced. Without commit() the destructor removes the temporary file. Errors: exit 1 with the operating system's
// reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

// Refuses (exit 2) when `path` exists and `force` is false, or when its folder does not exist or cannot be written.
void check_output(const std::string& path, bool force);

// Makes a folder and those above it, where they are missing. Throws: exit 2 when a file is in the way, else exit 1.
void make_folder(const std::string& path);

}  // namespace pare
