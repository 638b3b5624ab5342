#include "formats/hdf5_library.hpp"

#include <zlib.h>

namespace pare::hdf5 {
namespace {

herr_t keep_first(unsigned depth, const H5E_error2_t* error, void* text) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

// zlib's largest factor, and what its header takes.
constexpr size_t deflate_factor = 1032;
constexpr size_t deflate_slack = 64;
constexpr unsigned deflate_level = 9;
// What a chunk and its filter add to the object's header, about.
constexpr size_t chunk_cost = 48;

// Empty where it would not be smaller.
std::string deflated(std::string_view bytes) {
  if (bytes.size() <= chunk_cost || bytes.size() > UINT32_MAX) return {};
  uLongf size = compressBound(bytes.size());
  std::string result(size, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(result.data()), &size,
                               reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), deflate_level);
  if (status != Z_OK) fail_run("deflate: failed (zlib status {})", status);
  result.resize(size);
  return size + chunk_cost < bytes.size() ? result : std::string();
}

}  // namespace

std::unique_lock<std::recursive_mutex> lock() {
  static std::recursive_mutex mutex;
  std::unique_lock<std::recursive_mutex> guard(mutex);
  // Failures become our errors; the library itself prints nothing.
  static const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  if (!silent) fail_run("HDF5: the library cannot be initialised");
  return guard;
}

std::string reason() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text);
  return text.empty() ? "HDF5 gives no reason" : text;
}

size_t checked_size(const Id& dataset, const Id& space, const std::string& what) {
  const Id type(read_ok(H5Dget_type(dataset.get()), what));
  const size_t element = H5Tget_size(type.get());
  const auto count = static_cast<size_t>(read_ok(H5Sget_simple_extent_npoints(space.get()), what));
  const Id file(read_ok(H5Iget_file_id(dataset.get()), what));
  hsize_t file_size = 0;
  read_ok(H5Fget_filesize(file.get(), &file_size), what);
  const Id settings(read_ok(H5Dget_create_plist(dataset.get()), what));
  const bool chunked = H5Pget_layout(settings.get()) == H5D_CHUNKED;
  const size_t factor = chunked ? deflate_factor : 1;
  if (element == 0 || count > (file_size * factor + deflate_slack) / element)
    fail_input("{}: larger than the file that holds it (got {} elements of {} bytes in {} bytes)", what, count, element,
               file_size);
  const hsize_t stored = H5Dget_storage_size(dataset.get());
  if (chunked && (stored > file_size || element * count > stored * deflate_factor + deflate_slack))
    fail_input("{}: has another size than its chunk can have (got {} bytes, expected at most {} times {})", what,
               element * count, deflate_factor, stored);
  // The library trusts a compact dataset's own idea of its size.
  if (!chunked && stored != element * count)
    fail_input("{}: stored in another size than its type and shape take (got {}, expected {})", what, stored,
               element * count);
  return element * count;
}

Id dataset_settings(H5D_layout_t layout) {
  Id settings(write_ok(H5Pcreate(H5P_DATASET_CREATE), "HDF5 dataset settings"));
  H5Pset_obj_track_times(settings.get(), false);
  H5Pset_dset_no_attrs_hint(settings.get(), true);
  H5Pset_fill_time(settings.get(), H5D_FILL_TIME_NEVER);
  H5Pset_layout(settings.get(), layout);
  return settings;
}

void write_dataset(const Id& group, const std::string& name, const Id& type, hsize_t count, std::string_view bytes,
                   bool scalar) {
  const std::string what = fmt::format("dataset '{}'", name);
  const std::string chunk = deflated(bytes);
  const bool compact = chunk.empty() && bytes.size() <= compact_limit;
  const Id settings = dataset_settings(!chunk.empty() ? H5D_CHUNKED : compact ? H5D_COMPACT : H5D_CONTIGUOUS);
  if (!chunk.empty()) {
    write_ok(H5Pset_chunk(settings.get(), 1, &count), what);
    write_ok(H5Pset_deflate(settings.get(), deflate_level), what);
  }
  const Id space(
      write_ok(scalar && chunk.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr), what));
  const Id dataset(write_ok(
      H5Dcreate2(group.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, settings.get(), H5P_DEFAULT), what));
  const hsize_t origin = 0;
  if (!chunk.empty())
    write_ok(H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, &origin, chunk.size(), chunk.data()), what);
  else if (!bytes.empty())
    write_ok(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), what);
}

void set_links(const Id& settings, unsigned links) {
  constexpr unsigned typical_name = 8;
  H5Pset_est_link_info(settings.get(), links, typical_name);
  H5Pset_obj_track_times(settings.get(), false);
}

}  // namespace pare::hdf5
