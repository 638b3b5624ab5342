# The tests mirror the tree: tests/<folder>/test_<file>.cpp (doctest) and tests/<folder>/test_<subject>.py (unittest, with ONNX Runtime,
# h5py and numpy as oracles). Adding a file needs no line here.
find_package(doctest REQUIRED)
include(doctest)
set(PARE_TEST_PYTHON ${pare_cache}/python/bin/python3 CACHE FILEPATH "Python with onnx, onnxruntime, h5py and numpy (scripts/setup.sh --tests)")

# CMake's own rpath warns that LibTorch's libgomp hides the system's: that is what we want, two of them must not run at once.
function(pare_torch_rpath name)
  set_target_properties(${name} PROPERTIES SKIP_BUILD_RPATH ON)
  target_link_options(${name} PRIVATE -Wl,-rpath,${torch_runtime_path})
endfunction()

function(pare_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" "FROM;LINK")
  file(GLOB sources CONFIGURE_DEPENDS ${test_FROM})
  add_executable(${name} tests/support/test_main.cpp ${sources})
  target_link_libraries(${name} PRIVATE ${test_LINK} doctest::doctest)
  # gcc 12 warns of members of std::vector in inlined destructors that it took for uninitialised.
  target_compile_options(${name} PRIVATE -Wno-maybe-uninitialized)
  pare_torch_rpath(${name})
  doctest_discover_tests(${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTIES TIMEOUT 120)
endfunction()

pare_test(test_base FROM tests/core/*.cpp tests/kernels/*.cpp tests/graph/*.cpp LINK pare_base pare_cuda_absent)
pare_test(test_formats FROM tests/formats/*.cpp tests/fuzz/mutations.cpp LINK pare_hdf5_format pare_base pare_cuda_absent)
pare_test(test_learn FROM tests/support/seeded_cases.cpp tests/exec/test_*.cpp tests/data/*.cpp tests/train/*.cpp tests/compress/*.cpp
          LINK pare_hdf5_format pare_learn pare_base pare_cuda_absent)
pare_test(test_commands FROM tests/commands/*.cpp LINK pare_commands pare_base pare_cuda_absent)

# Run by tests/exec/test_conformance.py.
add_executable(conformance tests/exec/conformance.cpp)
target_link_libraries(conformance PRIVATE pare_learn pare_base pare_cuda_absent)
pare_torch_rpath(conformance)

file(GLOB python_tests CONFIGURE_DEPENDS tests/*/test_*.py)
foreach(path ${python_tests})
  cmake_path(GET path PARENT_PATH folder)
  cmake_path(GET folder FILENAME folder)
  cmake_path(GET path STEM stem)
  add_test(NAME ${folder}/${stem} COMMAND ${PARE_TEST_PYTHON} ${path} -v WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${folder}/${stem} PROPERTIES TIMEOUT 600 ENVIRONMENT "PARE=${CMAKE_BINARY_DIR}/pare;PARE_TORCH_DIR=${PARE_TORCH_DIR};PYTHONPATH=${CMAKE_SOURCE_DIR}/tests/support;PYTHONDONTWRITEBYTECODE=1")
endforeach()

# --- kernels: emulated CUDA ---
# The CUDA sources as C++ on the emulator: the case table of tests/kernels/ without a GPU. test_kernels_cuda is the same table on
# a real one; without it ctest reports the row as skipped, and with PARE_TEST_REQUIRE_CUDA=1 it fails.
find_package(Boost REQUIRED COMPONENTS context)
file(GLOB kernel_tests CONFIGURE_DEPENDS tests/kernels/test_*.cpp)
file(GLOB emulated_files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} kernels/*.cu)
set(emulated_sources)
foreach(path ${emulated_files} tests/support/devices_cuda.cpp)
  cmake_path(GET path STEM stem)
  set(wrapper ${CMAKE_BINARY_DIR}/emulated/${stem}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"tests/support/cuda_emulator.hpp\"\n#include \"${path}\"\n")
  list(APPEND emulated_sources ${wrapper})
endforeach()
add_executable(test_kernels_emulated tests/support/test_main.cpp ${kernel_tests} ${emulated_sources} tests/support/cuda_emulator.cpp
               tests/support/test_cuda_emulator.cpp)
target_link_libraries(test_kernels_emulated PRIVATE pare_base Boost::context doctest::doctest)
doctest_discover_tests(test_kernels_emulated TEST_PREFIX "emulated/" WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTIES TIMEOUT 120)

if(pare_with_cuda)
  add_executable(test_kernels_cuda tests/support/test_main.cpp ${kernel_tests} tests/support/devices_cuda.cpp)
  target_link_libraries(test_kernels_cuda PRIVATE pare_base pare_cuda doctest::doctest)
  add_test(NAME kernels/cuda COMMAND test_kernels_cuda WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(kernels/cuda PROPERTIES TIMEOUT 300 SKIP_REGULAR_EXPRESSION "real CUDA rows: skipped")
  add_test(NAME kernels/ptxas COMMAND scripts/check_ptxas.sh 80 90 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(kernels/ptxas PROPERTIES TIMEOUT 600 ENVIRONMENT "NVCC=${CMAKE_CUDA_COMPILER}")
endif()

# Benchmarks, built on demand: scripts/bench_kernels.sh, scripts/gpu_check.sh.
add_executable(bench_kernels EXCLUDE_FROM_ALL tests/bench/bench_kernels.cpp tests/kernels/devices_cpu.cpp)
target_link_libraries(bench_kernels PRIVATE pare_base pare_cuda_absent)
if(pare_with_cuda)
  add_executable(bench_kernels_cuda EXCLUDE_FROM_ALL tests/bench/bench_kernels.cpp tests/support/devices_cuda.cpp)
  target_link_libraries(bench_kernels_cuda PRIVATE pare_base pare_cuda)
endif()
add_executable(bench_groups EXCLUDE_FROM_ALL tests/bench/bench_groups.cpp)
target_link_libraries(bench_groups PRIVATE pare_base pare_cuda_absent)
add_executable(bench_decode EXCLUDE_FROM_ALL tests/bench/bench_decode.cpp)
target_link_libraries(bench_decode PRIVATE pare_learn pare_hdf5_format pare_base pare_cuda_absent)
pare_torch_rpath(bench_decode)
