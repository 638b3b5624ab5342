#include "formats/hdf5_library.hpp"

namespace pare::hdf5 {
namespace {

herr_t keep_first(unsigned depth, const H5E_error2_t* error, void* text) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
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
  if (element == 0 || count > file_size / element)
    fail_input("{}: larger than the file that holds it (got {} elements of {} bytes in {} bytes)", what, count, element,
               file_size);
  // The library trusts a compact dataset's own idea of its size; pare writes no chunked ones.
  const hsize_t stored = H5Dget_storage_size(dataset.get());
  if (stored != element * count)
    fail_input("{}: stored in another size than its type and shape take (got {}, expected {})", what, stored,
               element * count);
  return element * count;
}

Id dataset_settings(bool compact) {
  Id settings(write_ok(H5Pcreate(H5P_DATASET_CREATE), "HDF5 dataset settings"));
  H5Pset_obj_track_times(settings.get(), false);
  H5Pset_dset_no_attrs_hint(settings.get(), true);
  H5Pset_fill_time(settings.get(), H5D_FILL_TIME_NEVER);
  H5Pset_layout(settings.get(), compact ? H5D_COMPACT : H5D_CONTIGUOUS);
  return settings;
}

void set_links(const Id& settings, unsigned links) {
  constexpr unsigned typical_name = 8;
  H5Pset_est_link_info(settings.get(), links, typical_name);
  H5Pset_obj_track_times(settings.get(), false);
}

}  // namespace pare::hdf5
