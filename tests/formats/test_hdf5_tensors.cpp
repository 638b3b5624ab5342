#include <cmath>
#include <cstring>
#include <limits>

#include <doctest/doctest.h>

#include "formats/hdf5_tensors.hpp"
#include "src/core/error.hpp"
#include "tests/formats/tiny_onnx.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {
namespace {

Bytes decoded(const Tensor& tensor, const EncodedTensor& encoded) {
  return decode_tensor(encoded.layout, "raw", tensor.dtype, tensor.shape, encoded.bytes.flatten());
}

std::string decode_error(const std::string& layout, DType dtype, const Shape& shape, const std::string& stored) {
  try {
    decode_tensor({layout}, "raw", dtype, shape, Bytes::own(stored));
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("hdf5_tensors: every size, type and sparsity comes back bit for bit") {
  for (const int64_t size : {0, 1, 2, 7, 8, 9, 63, 64, 65, 1023, 70'001}) {
    for (const size_t step : {1u, 3u, 40u}) {
      const Tensor tensors[] = {
          test::sparse_tensor<float>("", DType::float32, {size}, step).tensor,
          test::sparse_tensor<double>("", DType::float64, {size}, step).tensor,
          test::sparse_tensor<int64_t>("", DType::int64, {size}, step).tensor,
          test::sparse_tensor<uint16_t>("", DType::float16, {size}, step).tensor,
          test::sparse_tensor<uint8_t>("", DType::boolean, {size}, step).tensor,
      };
      for (const Tensor& tensor : tensors) {
        CAPTURE(dtype_name(tensor.dtype));
        CAPTURE(size);
        const EncodedTensor encoded = encode_tensor(tensor);
        CHECK(decoded(tensor, encoded).text() == tensor.data.text());
        CHECK(encoded.bytes.size() <= tensor.data.size());
      }
    }
  }
}

TEST_CASE("hdf5_tensors: the smaller layout is chosen") {
  // 64 floats: dense 256 bytes; bitmask 8 + 4 an element that is not zero.
  std::vector<float> values(64, 0.0f);
  std::fill_n(values.begin(), 61, 1.0f);
  CHECK(encode_tensor(Tensor::of(DType::float32, {64}, values)).layout.name == "bitmask");
  CHECK(encode_tensor(Tensor::of(DType::float32, {64}, values)).bytes.size() == 252);
  values[61] = 1.0f;
  CHECK(encode_tensor(Tensor::of(DType::float32, {64}, values)).layout.name == "dense");
}

TEST_CASE("hdf5_tensors: the bitmask layout is the mask, lowest bit first, then the values") {
  const EncodedTensor encoded =
      encode_tensor(Tensor::of<int16_t>(DType::int16, {2, 5}, {0, 0, 0x0201, 0, 0x0403, 0, 0, 0, 0, 0}));
  CHECK(encoded.layout.name == "bitmask");
  CHECK(encoded.bytes.flatten().text() == std::string("\x14\0\x01\x02\x03\x04", 6));
}

TEST_CASE("hdf5_tensors: -0.0, NaN payloads and denormals survive") {
  std::vector<float> values(100, 0.0f);
  values[3] = -0.0f;
  values[5] = std::numeric_limits<float>::denorm_min();
  const uint32_t nan_bits = 0xffc12345;
  std::memcpy(&values[50], &nan_bits, 4);
  const Tensor tensor = Tensor::of(DType::float32, {10, 10}, values);
  const EncodedTensor encoded = encode_tensor(tensor);
  CHECK(encoded.layout.name == "bitmask");
  CHECK(encoded.bytes.size() == 13 + 3 * 4);
  CHECK(decoded(tensor, encoded).text() == tensor.data.text());
}

TEST_CASE("hdf5_tensors: types without elements of 1 to 8 bytes stay dense") {
  CHECK(encode_tensor({DType::int4, {99}, Bytes::own(std::string(50, '\0'))}).layout.name == "dense");
  CHECK(encode_tensor({DType::complex128, {9}, Bytes::own(std::string(144, '\0'))}).layout.name == "dense");
  CHECK(encode_tensor({DType::complex64, {9}, Bytes::own(std::string(72, '\0'))}).layout.name == "csr");
}

TEST_CASE("hdf5_tensors: bytes at an odd address, as in a mapped file, are encoded and decoded") {
  std::string file(1 + 40, '\0');
  file[1 + 8] = 7;
  const Bytes whole = Bytes::own(file);
  const Tensor tensor{DType::float32, {10}, whole.part(whole.text().substr(1))};
  const EncodedTensor encoded = encode_tensor(tensor);
  ByteRope rope;
  rope.append(std::string("x"));
  rope.append(encoded.bytes);
  const Bytes shifted = rope.flatten();
  CHECK(decode_tensor({"bitmask"}, "raw", DType::float32, {10}, shifted.part(shifted.text().substr(1))).text() ==
        file.substr(1));
}

TEST_CASE("hdf5_tensors: bytes that do not fit are refused with both sizes") {
  CHECK(decode_error("dense", DType::float32, {2}, "1234567") ==
        "bytes do not fit shape 2 of float32 (got 7, expected 8)");
  CHECK(decode_error("bitmask", DType::float32, {9}, "\x01") == "the bit mask does not fit (got 1 bytes, expected 2)");
  CHECK(decode_error("bitmask", DType::float32, {8},
                     "\x03"
                     "1234567") == "the values do not fit layout bitmask (got 7 bytes, expected 8)");
  CHECK(decode_error("bitmask", DType::int4, {8},
                     "\x03"
                     "1234") == "layout 'bitmask' does not exist for int4");
  CHECK(decode_error("spiral", DType::float32, {1}, "1234").starts_with("layout 'spiral' is unknown"));
  CHECK(decode_error("dense", DType::string, {1}, "1234") == "element type string cannot be stored");
  CHECK(decode_error("dense", DType::complex128, {int64_t{1} << 55}, "1234").starts_with("bytes do not fit"));
  CHECK(decode_error("bitmask", DType::float32, {-8}, "1234").starts_with("shape -8: has a negative dimension"));
}

TEST_CASE("hdf5_tensors: a table of tensors comes back with names, shapes and hashes") {
  const test::TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {
      test::sparse_tensor<float>("conv/weight", DType::float32, {4, 3, 3, 3}, 5),
      {"scalar", Tensor::of<double>(DType::float64, {}, {3.5})},
      {"", Tensor::of<float>(DType::float32, {0, 7}, {})},
      {"name with \n and \"", {DType::int4, {3}, Bytes::own("ab")}},
  };
  Hdf5File file = Hdf5File::create(1);
  write_tensors(file.root(), tensors);
  AtomicFile target(folder.file("a.h5"));
  file.write_to(target);
  target.commit();
  const std::vector<StoredTensor> stored = read_tensors(Hdf5File::open(folder.file("a.h5")).root());
  REQUIRE(stored.size() == tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    CHECK(stored[i].named.name == tensors[i].name);
    CHECK(stored[i].named.tensor.dtype == tensors[i].tensor.dtype);
    CHECK(stored[i].named.tensor.shape == tensors[i].tensor.shape);
    CHECK(stored[i].named.tensor.data.text() == tensors[i].tensor.data.text());
    CHECK(stored[i].intact);
  }
}

}  // namespace pare
