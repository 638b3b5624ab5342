#include "src/core/files.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <nettle/sha2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

std::string reason() { return std::generic_category().message(errno); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_for_reading(const std::string& path, struct stat& status) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail_usage("{}: no such file; check the path", path);
    fail_run("{}: cannot be opened ({}); check its permissions", path, reason());
  }
  if (::fstat(fd, &status) != 0) {
    ::close(fd);
    fail_run("{}: cannot be examined ({})", path, reason());
  }
  if (S_ISDIR(status.st_mode)) {
    ::close(fd);
    fail_usage("{}: is a folder (expected a file)", path);
  }
  return fd;
}

void sync_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const Descriptor fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) ::fsync(fd.get());
}

}  // namespace

Bytes Bytes::own(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  const std::span<const std::byte> view(reinterpret_cast<const std::byte*>(owner->data()), owner->size());
  return Bytes(std::move(owner), view);
}

Bytes Bytes::allocate(size_t size, std::byte** writable) {
  constexpr size_t alignment = 64;
  const size_t padded = (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, padded == 0 ? alignment : padded);
  if (memory == nullptr) fail_run("memory: {} bytes cannot be allocated", size);
  std::memset(memory, 0, size);
  *writable = static_cast<std::byte*>(memory);
  return Bytes(std::shared_ptr<const void>(memory, std::free), {*writable, size});
}

Bytes Bytes::part(std::string_view part) const {
  return Bytes(owner_, {reinterpret_cast<const std::byte*>(part.data()), part.size()});
}

Bytes map_file(const std::string& path) {
  struct stat status {};
  const Descriptor fd(open_for_reading(path, status));
  if (!S_ISREG(status.st_mode)) return Bytes::own(read_file(path));
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return {};
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) fail_run("{}: cannot be mapped ({})", path, reason());
  const std::shared_ptr<const void> owner(address,
                                          [size](const void* start) { ::munmap(const_cast<void*>(start), size); });
  return Bytes(owner, {static_cast<const std::byte*>(address), size});
}

std::string read_file(const std::string& path) {
  struct stat status {};
  const Descriptor fd(open_for_reading(path, status));
  std::string text;
  text.reserve(static_cast<size_t>(status.st_size));
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_run("{}: cannot be read ({})", path, reason());
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  std::array<uint8_t, SHA256_DIGEST_SIZE> digest;
  sha256_digest(&context, digest.size(), digest.data());
  std::string hex;
  for (const uint8_t byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(fmt::format("{}.tmp-{}", path_, ::getpid())) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_run("{}: cannot be created ({})", path_, reason());
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_run("{}: cannot be written ({})", path_, reason());
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_run("{}: cannot be written ({})", path_, reason());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail_run("{}: cannot be renamed into place ({})", path_, reason());
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder_of(path_);
}

void check_output(const std::string& path, bool force) {
  if (std::error_code error; std::filesystem::is_directory(path, error))
    fail_usage("{}: is a folder (expected a file name)", path);
  // Pipes and links to nothing, too: a rename takes their place.
  if (struct stat status{}; !force && ::lstat(path.c_str(), &status) == 0)
    fail_usage("{}: exists already; give --force to replace it", path);
  auto folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder))
    fail_usage("{}: folder {} does not exist; create it first", path, folder.string());
  if (::access(folder.c_str(), W_OK) != 0)
    fail_usage("{}: folder {} cannot be written ({})", path, folder.string(), reason());
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error == std::errc::not_a_directory || error == std::errc::file_exists)
    fail_usage("{}: is no folder, or lies in none; name another one", path);
  if (error) fail_run("{}: cannot be made ({})", path, error.message());
}

}  // namespace pare
