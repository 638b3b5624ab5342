#include "src/data/hdf5_samples.hpp"

#include <array>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/hdf5_library.hpp"
#include "src/data/array_data.hpp"

namespace pare {
namespace {

using hdf5::Id;
using hdf5::read_ok;

DType integer_type(hid_t type) {
  const bool with_sign = H5Tget_sign(type) == H5T_SGN_2;
  switch (H5Tget_size(type)) {
    case 1:
      return with_sign ? DType::int8 : DType::uint8;
    case 2:
      return with_sign ? DType::int16 : DType::uint16;
    case 4:
      return with_sign ? DType::int32 : DType::uint32;
    case 8:
      return with_sign ? DType::int64 : DType::uint64;
    default:
      return DType::undefined;
  }
}

// undefined for what is no number of a size that pare knows.
DType numeric_type(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return integer_type(type);
    case H5T_FLOAT: {
      const size_t size = H5Tget_size(type);
      return size == 2 ? DType::float16 : size == 4 ? DType::float32 : size == 8 ? DType::float64 : DType::undefined;
    }
    case H5T_ENUM:  // h5py's bool: FALSE and TRUE on a byte
      return H5Tget_size(type) == 1 && H5Tget_nmembers(type) == 2 ? DType::boolean : DType::undefined;
    default:
      return DType::undefined;
  }
}

// The file's type in the byte order of this machine. An enumeration is read as the bytes that it is made of.
Id memory_type(hid_t type, const std::string& what) {
  if (H5Tget_class(type) == H5T_ENUM) return Id(read_ok(H5Tget_super(type), what));
  Id copy(read_ok(H5Tcopy(type), what));
  read_ok(H5Tset_order(copy.get(), H5T_ORDER_LE), what);
  return copy;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
    if (file_.get() < 0) fail_input("{}: not an HDF5 file, or a damaged one ({})", path, hdf5::reason());
  }

  std::vector<NamedTensor> read_all() {
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5O_info_t* info, void* target) -> herr_t {
      if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(target)->emplace_back(name);
      return 0;
    };
    read_ok(H5Ovisit(file_.get(), H5_INDEX_NAME, H5_ITER_INC, collect, &names), path_);
    std::vector<NamedTensor> tensors;
    for (const std::string& name : names) read(name, tensors);
    return tensors;
  }

 private:
  void read(const std::string& name, std::vector<NamedTensor>& tensors) const {
    const std::string what = fmt::format("{}: dataset '{}'", path_, name);
    const Id dataset(read_ok(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), what));
    const Id type(read_ok(H5Dget_type(dataset.get()), what));
    const Id space(read_ok(H5Dget_space(dataset.get()), what));
    Tensor tensor{numeric_type(type.get()), {}, {}};
    if (tensor.dtype == DType::undefined || H5Sget_simple_extent_type(space.get()) == H5S_NULL) return;
    std::vector<hsize_t> sizes(static_cast<size_t>(read_ok(H5Sget_simple_extent_ndims(space.get()), what)));
    if (!sizes.empty()) read_ok(H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr), what);
    for (const hsize_t size : sizes) tensor.shape.push_back(static_cast<int64_t>(size));
    const auto bytes = static_cast<size_t>(with_context(what, [&] { return tensor.byte_size(); }));
    constexpr hsize_t most_per_byte = 1032;  // the limit of deflate: zlib's technical notes
    hsize_t file_size = 0;
    read_ok(H5Fget_filesize(file_.get(), &file_size), what);
    if (bytes / most_per_byte > file_size)
      fail_input("{}: larger than its file can hold (got {} bytes in a file of {})", what, bytes, file_size);
    std::byte* target = nullptr;
    tensor.data = Bytes::allocate(bytes, &target);
    if (bytes > 0)
      read_ok(H5Dread(dataset.get(), memory_type(type.get(), what).get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, target), what);
    tensors.push_back({name, std::move(tensor)});
  }

  const std::string& path_;
  Id file_;
};

}  // namespace

bool is_hdf5_samples(const std::string& path) {
  std::array<char, 8> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), start.size()) == "\x89HDF\r\n\x1a\n";
}

DatasetPtr open_hdf5_samples(const std::string& path, const DataRequest& request) {
  std::vector<NamedTensor> arrays;
  {
    const auto guard = hdf5::lock();
    arrays = Reader(path).read_all();
  }
  return dataset_of_arrays(path, std::move(arrays), request);
}

}  // namespace pare
