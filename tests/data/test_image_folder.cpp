#include <filesystem>
#include <optional>

#include <doctest/doctest.h>

#include "src/data/image_folder.hpp"
#include "tests/data/data_files.hpp"
#include "tests/support/graph_builder.hpp"

// Decoding, sizes and labels are compared with Pillow and numpy in test_images.py.
namespace pare {
namespace {

using test::failure_of;

std::string chunk(const std::string& name, const std::string& content) {
  const std::string both = name + content;
  const auto* bytes = reinterpret_cast<const Bytef*>(both.data());
  return test::big_endian(content.size(), 4) + both +
         test::big_endian(crc32(0, bytes, static_cast<uInt>(both.size())), 4);
}

// A grey PNG whose pixels all are `level`.
std::string grey_png(uint32_t height, uint32_t width, char level) {
  std::string rows;
  for (uint32_t y = 0; y < height; ++y) rows += '\0' + std::string(width, level);
  std::string packed(compressBound(rows.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  packed.resize(size);
  const std::string header = test::big_endian(width, 4) + test::big_endian(height, 4) + std::string("\x08\0\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", packed) + chunk("IEND", "");
}

DatasetPtr open_for(const std::string& path, const std::optional<Shape>& input, Layout layout = Layout::unknown) {
  DataRequest request;
  request.split = "test";
  request.layout = layout;
  test::GraphBuilder builder;
  const Graph graph = builder.finish(builder.input("x", input.value_or(Shape{})));
  if (input) request.graph = &graph;
  else request.resize = {4, 6};
  return open_image_folder(path, request);
}

TEST_CASE("image_folder: samples have the layout, channels and size that the model takes") {
  const test::TemporaryFolder folder;
  folder.write("a.png", grey_png(8, 12, 'x'));
  CHECK(open_for(folder.path(), Shape{-1, 3, 4, 6})->sample_shape() == Shape{3, 4, 6});
  CHECK(open_for(folder.path(), Shape{2, 1, 4, 6})->sample_shape() == Shape{1, 4, 6});
  CHECK(open_for(folder.path(), Shape{-1, 4, 6, 1})->sample_shape() == Shape{4, 6, 1});
  CHECK(open_for(folder.path(), Shape{-1, 1, 3, 3})->sample_shape() == Shape{1, 3, 3});
  CHECK(open_for(folder.path(), Shape{-1, 1, 3, 3}, Layout::nhwc)->sample_shape() == Shape{1, 3, 3});
  CHECK(open_for(folder.path(), Shape{-1, 4, 6, -1}, Layout::nhwc)->sample_shape() == Shape{4, 6, 3});
  CHECK(open_for(folder.path(), std::nullopt)->sample_shape() == Shape{3, 4, 6});
  CHECK(failure_of([&] { open_for(folder.path(), Shape{-1, 4, 6, 4}); }).mentions("the model wants 4 channels"));
}

TEST_CASE("image_folder: samples that fit in memory are decoded once; others would be read again") {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("a.png", grey_png(8, 12, 'x'));
  folder.write("b.png", "damaged");
  const DatasetPtr dataset = open_for(folder.path(), Shape{-1, 1, 4, 6});
  REQUIRE(dataset->size() == 2);
  CHECK(dataset->decodes());
  CHECK(!dataset->labelled());
  CHECK(dataset->sample_name(0) == path);
  std::vector<std::byte> scratch;
  const std::vector<std::byte> expected(24, std::byte{'x'});
  const auto read = [&] {
    const std::byte* sample = dataset->stored(0, 0, scratch);
    return std::vector<std::byte>(sample, sample + 24);
  };
  CHECK(read() == expected);
  std::filesystem::remove(path);
  CHECK(read() == expected);
  CHECK(failure_of([&] { (void)dataset->stored(0, 1, scratch); }).mentions("b.png: neither a JPEG nor a PNG"));
  CHECK(failure_of([&] {
          (void)open_for(folder.path(), Shape{-1, 1, 4, 6})->stored(0, 0, scratch);
        }).mentions("b.png"));
}

}  // namespace
}  // namespace pare
