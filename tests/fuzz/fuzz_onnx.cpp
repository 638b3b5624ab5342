// libFuzzer's entry: scripts/fuzz.sh builds and runs it.
#include "tests/fuzz/read_everything.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pare::test::read_everything({reinterpret_cast<const char*>(data), size});
  return 0;
}
