#include <cmath>
#include <cstring>
#include <limits>

#include <doctest/doctest.h>

#include "formats/hdf5_tensors.hpp"
#include "formats/tensor_codes.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "tests/formats/tiny_onnx.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {
namespace {

Bytes decoded(const Tensor& tensor, const EncodedTensor& encoded) {
  return decode_tensor(encoded.layout, encoded.values, tensor.dtype, tensor.shape, encoded.bytes.flatten());
}

std::string decode_error(const std::string& layout, DType dtype, const Shape& shape, const std::string& stored,
                         const std::string& values = "raw") {
  try {
    decode_tensor({layout}, values, dtype, shape, Bytes::own(stored));
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
          test::sparse_tensor<int32_t>("", DType::int32, {size}, step).tensor,
          test::sparse_tensor<uint16_t>("", DType::bfloat16, {size}, step).tensor,
          test::sparse_tensor<int8_t>("", DType::int8, {size}, step).tensor,
      };
      for (const Tensor& tensor : tensors) {
        CAPTURE(dtype_name(tensor.dtype));
        CAPTURE(size);
        for (const bool entropy_code : {false, true}) {
          const EncodedTensor encoded = encode_tensor(tensor, entropy_code);
          CHECK((decoded(tensor, encoded).text() == tensor.data.text()));
          CHECK(encoded.bytes.size() <= tensor.data.size());
        }
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
      encode_tensor(Tensor::of<int16_t>(DType::int16, {2, 5}, {0, 0, 0x7201, 0, 0x7403, 0, 0, 0, 0, 0}));
  CHECK(encoded.layout.name == "bitmask");
  CHECK(encoded.bytes.flatten().text() == std::string("\x14\0\x01\x72\x03\x74", 6));
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

TEST_CASE("hdf5_tensors: integers take the bits that their values need") {
  // -8 to 7 in int8: 4 bits, the first element lowest.
  const EncodedTensor narrow = encode_tensor(Tensor::of<int8_t>(DType::int8, {4}, {-8, 7, -1, 1}));
  CHECK(narrow.values == "packed:4");
  CHECK((narrow.bytes.flatten().text() == "\x78\x1f"));
  // -2 to 1 in int4: 2 bits.
  const EncodedTensor codes = encode_tensor({DType::int4, {4}, Bytes::own("\x1e\xff")});
  CHECK(codes.values == "packed:2");
  CHECK((codes.bytes.flatten().text() == "\xf6"));
  CHECK(encode_tensor(Tensor::of<uint8_t>(DType::uint8, {3}, {1, 2, 4})).values == "packed:3");
  CHECK(encode_tensor(Tensor::of<int8_t>(DType::int8, {2}, {-128, 3})).values == "raw");
  CHECK(encode_tensor(Tensor::of<int32_t>(DType::int32, {2}, {-4096, 4095})).values == "packed:13");
}

TEST_CASE("hdf5_tensors: kept codes of a sparse tensor are packed") {
  std::vector<int8_t> values(1000, 0);
  for (size_t i = 0; i < values.size(); i += i < 500 ? 3 : 21) values[i] = static_cast<int8_t>(i % 2 == 0 ? -4 : 3);
  const Tensor tensor = Tensor::of(DType::int8, {10, 100}, values);
  const EncodedTensor encoded = encode_tensor(tensor);
  CHECK(encoded.layout.name == "bitmask");
  CHECK(encoded.values == "packed:3");
  const int64_t kept = count_nonzero(tensor);
  CHECK(encoded.bytes.size() == static_cast<size_t>(125 + (kept * 3 + 7) / 8));
  CHECK((decoded(tensor, encoded).text() == tensor.data.text()));
}

TEST_CASE("hdf5_tensors: every combination of 1 to 32 bits, sign and type comes back") {
  for (const auto& [dtype, signs] : {std::pair(DType::int8, true),
                                     {DType::uint8, false},
                                     {DType::int16, true},
                                     {DType::uint16, false},
                                     {DType::int32, true},
                                     {DType::uint32, false}})
    for (int bits = 1; bits <= dtype_bits(dtype); ++bits) {
      Codes codes;
      for (uint32_t i = 0; i < 101; ++i) codes.push_back(i * 2654435761u >> (32 - bits));
      codes.push_back(signs ? 1u << (bits - 1) : 0);
      if (signs && dtype_bits(dtype) > bits)
        for (uint32_t& code : codes)
          if ((code >> (bits - 1) & 1) != 0)
            code |= (dtype_bits(dtype) == 32 ? ~0u : (1u << dtype_bits(dtype)) - 1) << bits;
      const int all = dtype_bits(dtype);
      for (uint32_t& code : codes) code &= all == 32 ? ~0u : (1u << all) - 1;
      const Tensor tensor{dtype, {static_cast<int64_t>(codes.size())}, bytes_of(dtype, codes)};
      CAPTURE(dtype_name(dtype));
      CAPTURE(bits);
      CHECK(least_bits(dtype, codes) <= bits);
      for (const bool entropy_code : {false, true})
        CHECK((decoded(tensor, encode_tensor(tensor, entropy_code)).text() == tensor.data.text()));
    }
}

TEST_CASE("hdf5_tensors: bits behind the last 4-bit element survive, and types without elements of 1 to 8 bytes") {
  const Tensor odd{DType::int4, {99}, Bytes::own(std::string(49, '\0') + "\x70")};
  CHECK(encode_tensor(odd).layout.name == "dense");
  CHECK((decoded(odd, encode_tensor(odd, true)).text() == odd.data.text()));
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
                     "1234") == "the values do not fit (got 4 bytes, expected 2 elements of 4 bits)");
  CHECK(decode_error("spiral", DType::float32, {1}, "1234").starts_with("layout 'spiral' is unknown"));
  CHECK(decode_error("dense", DType::int8, {4}, "1", "packed:4") ==
        "the values do not fit (got 1 bytes, expected 4 elements of 4 bits)");
  CHECK(decode_error("dense", DType::int8, {4}, "1", "packed:9").starts_with("values 'packed:9' cannot be int8"));
  CHECK(decode_error("dense", DType::float32, {4}, "1", "packed:4").starts_with("values 'packed:4' cannot be float32"));
  CHECK(decode_error("dense", DType::int64, {4}, "1", "packed:4") == "values 'packed:4' do not exist for int64");
  CHECK(decode_error("dense", DType::int8, {4}, "1", "zip").starts_with("values 'zip' are unknown to this version"));
  CHECK(decode_error("dense", DType::int8, {int64_t{1} << 50}, "1234", "rans:4").starts_with("the entropy-coded"));
  CHECK(decode_error("dense", DType::string, {1}, "1234") == "element type string cannot be stored");
  CHECK(decode_error("dense", DType::complex128, {int64_t{1} << 55}, "1234").starts_with("bytes do not fit"));
  CHECK(decode_error("bitmask", DType::float32, {-8}, "1234").starts_with("shape -8: has a negative dimension"));
}

TEST_CASE("hdf5_tensors: a tensor that is a number times an earlier one is found, and only then") {
  const auto of = [](const std::vector<float>& values) {
    return Tensor::of(DType::float32, {static_cast<int64_t>(values.size())}, values);
  };
  std::vector<float> base(100), scaled(100);
  for (size_t i = 0; i < base.size(); ++i) base[i] = static_cast<float>(random_below(1000, {3, 1}, i)) / 777.0f;
  base[0] = 0.3f;
  for (const float factor : {0.1f, 3.0f, 1e-20f, -0.7f}) {
    for (size_t i = 0; i < base.size(); ++i) scaled[i] = base[i] * factor;
    const std::optional<float> found = scale_between(of(base), of(scaled));
    REQUIRE(found);
    for (size_t i = 0; i < base.size(); ++i) CHECK(base[i] * *found == scaled[i]);
  }
  scaled[57] = std::nextafter(scaled[57], 9.0f);
  CHECK_FALSE(scale_between(of(base), of(scaled)));
  CHECK_FALSE(scale_between(of({0, 1}), of({0, 2})));
  CHECK_FALSE(scale_between(of({1, 0}), of({1, -0.0f})));  // the sign would not come back
}

TEST_CASE("hdf5_tensors: a table of tensors comes back with names, shapes and hashes") {
  const test::TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {
      test::sparse_tensor<float>("conv/weight", DType::float32, {4, 3, 3, 3}, 5),
      {"scalar", Tensor::of<double>(DType::float64, {}, {3.5})},
      {"", Tensor::of<float>(DType::float32, {0, 7}, {})},
      {"step", Tensor::of<float>(DType::float32, {3}, {0.1f, 0.25f, 0.7f})},
      {"bias/step", Tensor::of<float>(DType::float32, {3}, {0.1f * 3.3f, 0.25f * 3.3f, 0.7f * 3.3f})},
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
