// libFuzzer's entry for the decoders of element codes (raw, packed and entropy-coded): scripts/fuzz.sh builds and runs
// it. The first bytes choose form, type, width and number of elements.
#include <cstdint>
#include <cstdlib>

#include "formats/tensor_codes.hpp"
#include "src/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  if (size < 4) return 0;
  constexpr DType dtypes[] = {DType::int8, DType::uint8, DType::int4, DType::int32, DType::float32, DType::float16};
  const DType dtype = dtypes[data[0] % std::size(dtypes)];
  const int bits = 1 + data[1] % 32;
  const char* forms[] = {"raw", "packed", "rans"};
  const std::string form = forms[data[0] / 8 % 3];
  const int64_t count = data[2] | data[3] << 8;
  const StoredValues stored{form == "raw" ? form : fmt::format("{}:{}", form, bits),
                            Bytes::own({reinterpret_cast<const char*>(data) + 4, size - 4})};
  try {
    const Codes codes = decode_values(stored, dtype, count);
    if (codes.size() != static_cast<size_t>(count)) std::abort();
    if (form == "rans") {
      // What was decoded can be coded, and comes back.
      const StoredValues again = encode_values(dtype, codes, least_bits(dtype, codes), true);
      if (decode_values(again, dtype, count) != codes) std::abort();
    }
  } catch (const Error& error) {
    if (error.code() != ExitCode::bad_input) std::abort();
  }
  return 0;
}
