# The tests mirror the tree: tests/<folder>/test_<file>.cpp (doctest) and tests/<folder>/test_<subject>.py (unittest, with ONNX Runtime,
# h5py and numpy as oracles). Adding a file needs no line here.
find_package(doctest REQUIRED)
include(doctest)
set(PARE_TEST_PYTHON ${pare_cache}/python/bin/python3 CACHE FILEPATH "Python with onnx, onnxruntime, h5py and numpy (scripts/setup.sh --tests)")

function(pare_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" "FROM;LINK")
  file(GLOB sources CONFIGURE_DEPENDS ${test_FROM})
  add_executable(${name} tests/support/test_main.cpp ${sources})
  target_link_libraries(${name} PRIVATE ${test_LINK} doctest::doctest)
  set_target_properties(${name} PROPERTIES BUILD_RPATH "${torch_runtime_path}")
  doctest_discover_tests(${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTIES TIMEOUT 120)
endfunction()

pare_test(test_base FROM tests/core/*.cpp tests/kernels/*.cpp tests/graph/*.cpp LINK pare_base pare_cuda_absent)
pare_test(test_formats FROM tests/formats/*.cpp LINK pare_hdf5_format pare_base)
pare_test(test_learn FROM tests/exec/*.cpp tests/data/*.cpp tests/train/*.cpp tests/compress/*.cpp
          LINK pare_hdf5_format pare_learn pare_base pare_cuda_absent)
pare_test(test_commands FROM tests/commands/*.cpp LINK pare_commands pare_base)

file(GLOB python_tests CONFIGURE_DEPENDS tests/*/test_*.py)
foreach(path ${python_tests})
  cmake_path(GET path PARENT_PATH folder)
  cmake_path(GET folder FILENAME folder)
  cmake_path(GET path STEM stem)
  add_test(NAME ${folder}/${stem} COMMAND ${PARE_TEST_PYTHON} ${path} -v WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${folder}/${stem} PROPERTIES TIMEOUT 600 ENVIRONMENT "PARE=${CMAKE_BINARY_DIR}/pare;PARE_TORCH_DIR=${PARE_TORCH_DIR};PYTHONPATH=${CMAKE_SOURCE_DIR}/tests/support;PYTHONDONTWRITEBYTECODE=1")
endforeach()
