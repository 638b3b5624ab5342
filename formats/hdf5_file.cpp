#include "formats/hdf5_file.hpp"

#include <cstdlib>
#include <cstring>

#include "formats/hdf5_library.hpp"
#include "src/core/error.hpp"

namespace pare {

using hdf5::Id;
using hdf5::read_ok;
using hdf5::write_ok;

// The library's memory file, taken over when the library closes it: H5Fget_file_image gives a copy of an open file, and
// in 1.10 that copy's superblock has a wrong checksum. Outlives the open file, whose closing calls `release`.
struct Hdf5File::Image {
  void* memory = nullptr;

  ~Image() { std::free(memory); }

  static void* allocate(size_t size, H5FD_file_image_op_t, void*) { return std::malloc(size); }
  static void* reallocate(void* old, size_t size, H5FD_file_image_op_t, void*) { return std::realloc(old, size); }
  static void* copy(void* target, const void* source, size_t size, H5FD_file_image_op_t, void*) {
    return std::memcpy(target, source, size);
  }
  static herr_t release(void* memory, H5FD_file_image_op_t operation, void* image) {
    if (operation == H5FD_FILE_IMAGE_OP_FILE_CLOSE) static_cast<Image*>(image)->memory = memory;
    else std::free(memory);
    return 0;
  }
  static void* share(void* image) { return image; }
  static herr_t forget(void*) { return 0; }
};

Hdf5File::Hdf5File(std::unique_ptr<Image> image, std::unique_ptr<Id> id, Hdf5Group root)
    : image_(std::move(image)), id_(std::move(id)), root_(std::move(root)) {}

Hdf5File::~Hdf5File() = default;
Hdf5File::Hdf5File(Hdf5File&&) noexcept = default;

Hdf5File Hdf5File::open(const std::string& path) {
  map_file(path);  // says why a file is missing or unreadable
  const auto guard = hdf5::lock();
  auto id = std::make_unique<Id>(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (id->get() < 0) fail_input("not an HDF5 file, or a damaged one ({})", hdf5::reason());
  Hdf5Group root(std::make_shared<const Id>(read_ok(H5Gopen2(id->get(), "/", H5P_DEFAULT), "group '/'")));
  return Hdf5File(nullptr, std::move(id), std::move(root));
}

Hdf5File Hdf5File::create(unsigned links) {
  const auto guard = hdf5::lock();
  const std::string what = "HDF5 file in memory";
  const Id access(write_ok(H5Pcreate(H5P_FILE_ACCESS), what));
  constexpr size_t growth = 1 << 20;
  write_ok(H5Pset_fapl_core(access.get(), growth, false), what);
  auto image = std::make_unique<Image>();
  H5FD_file_image_callbacks_t callbacks = {Image::allocate, Image::copy,   Image::reallocate, Image::release,
                                           Image::share,    Image::forget, image.get()};
  write_ok(H5Pset_file_image_callbacks(access.get(), &callbacks), what);
  write_ok(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), what);
  write_ok(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), what);
  // Blocks that the library reserves in advance would be left in the file, partly empty.
  H5Pset_meta_block_size(access.get(), 0);
  H5Pset_small_data_block_size(access.get(), 0);
  const Id settings(write_ok(H5Pcreate(H5P_FILE_CREATE), what));
  hdf5::set_links(settings, links);
  auto id = std::make_unique<Id>(write_ok(H5Fcreate("pare", H5F_ACC_TRUNC, settings.get(), access.get()), what));
  Hdf5Group root(std::make_shared<const Id>(write_ok(H5Gopen2(id->get(), "/", H5P_DEFAULT), what)));
  return Hdf5File(std::move(image), std::move(id), std::move(root));
}

void Hdf5File::write_to(AtomicFile& file) {
  const auto guard = hdf5::lock();
  write_ok(H5Fclose(id_->release()), "HDF5 file in memory");
  // The memory is larger than the file, which says its own size: the superblock's end-of-file address.
  constexpr size_t end_of_file = 28;
  const auto* bytes = static_cast<const char*>(image_->memory);
  uint64_t size = 0;
  std::memcpy(&size, bytes + end_of_file, sizeof size);
  file.write({bytes, size});
}

}  // namespace pare
