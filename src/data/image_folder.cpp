#include "src/data/image_folder.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "src/core/error.hpp"
#include "src/core/files.hpp"
#include "src/core/free_memory.hpp"
#include "src/data/decode_image.hpp"
#include "src/data/image_list.hpp"
#include "src/data/resize_image.hpp"
#include "src/data/sample_cache.hpp"

namespace pare {
namespace {

constexpr std::string_view field_name = "images";

// What a model takes; -1: any.
struct ModelImages {
  Layout layout = Layout::nchw;
  int64_t channels = -1;
  ImageSize size{-1, -1};
};

const Port* image_port(const DataRequest& request) {
  const Port* first = nullptr;
  for (const Port& port : request.graph->inputs) {
    const std::string& name = request.graph->value(port.value).name;
    for (const NamedBinding& pair : request.named)
      if (pair.key == field_name && pair.input == name) return &port;
    if (first == nullptr && port.ranked && port.dims.size() == 4) first = &port;
  }
  if (first == nullptr && !request.graph->inputs.empty()) return &request.graph->inputs.front();
  return first;
}

// The sizes of an input, those that it leaves open from --shape.
std::vector<int64_t> sizes_of(const DataRequest& request, const Port& port) {
  std::vector<int64_t> sizes;
  for (const Dim& dim : port.dims) sizes.push_back(dim.size);
  const auto given = request.shapes.find(request.graph->value(port.value).name);
  if (given == request.shapes.end()) return sizes;
  if (!port.ranked) return given->second;
  for (size_t i = 0; i < sizes.size() && i < given->second.size(); ++i)
    if (sizes[i] < 0) sizes[i] = given->second[i];
  return sizes;
}

bool can_be_channels(int64_t size) { return size == 1 || size == 3; }

ModelImages images_of_model(const std::string& path, const DataRequest& request) {
  ModelImages model;
  const bool last = request.layout == Layout::nhwc;
  if (last) model.layout = Layout::nhwc;
  const Port* port = request.graph != nullptr ? image_port(request) : nullptr;
  if (port == nullptr) return model;
  const std::string& name = request.graph->value(port->value).name;
  const std::vector<int64_t> sizes = sizes_of(request, *port);
  if (sizes.empty() && !port->ranked) return model;
  if (sizes.size() != 4)
    fail_input("{}: images do not fit input '{}' (got {} dimensions, expected 4)", path, name, sizes.size());
  if (request.layout == Layout::unknown && !can_be_channels(sizes[1]) && can_be_channels(sizes[3]))
    model.layout = Layout::nhwc;
  const bool channels_last = model.layout == Layout::nhwc;
  const size_t channels_at = channels_last ? 3 : 1;
  model.channels = sizes[channels_at];
  model.size = channels_last ? ImageSize{sizes[1], sizes[2]} : ImageSize{sizes[2], sizes[3]};
  if (model.channels >= 0 && !can_be_channels(model.channels))
    fail_input("{}: images do not fit input '{}' (in dimension {} the model wants {} channels, images have 1 or 3)",
               path, name, channels_at, model.channels);
  return model;
}

// Working memory that a thread uses again for every image.
struct DecodeMemory {
  Image image;
  ResizeMemory resize;
};

class ImageDataset final : public Dataset {
 public:
  // `used`: how many of the samples will be read.
  ImageDataset(std::string path, ImageList list, const ImageRule& rule, int64_t channels, Layout layout, int64_t used)
      : path_(std::move(path)),
        list_(std::move(list)),
        rule_(rule),
        channels_(channels),
        layout_(layout),
        cache_(size(), used, channels * rule.kept.height * rule.kept.width, free_memory()) {
    const auto [height, width] = rule_.kept;
    const Shape shape = layout_ == Layout::nhwc ? Shape{height, width, channels_} : Shape{channels_, height, width};
    fields_.push_back({std::string(field_name), DType::uint8, shape, false, layout_});
  }

  std::string name() const override { return path_; }
  std::string sample_name(int64_t index) const override { return entry(index).path; }
  int64_t size() const override { return static_cast<int64_t>(list_.images.size()); }
  const std::vector<Field>& fields() const override { return fields_; }
  const std::byte* stored(size_t, int64_t index, std::vector<std::byte>& scratch) const override {
    if (const std::byte* kept = cache_.find(index)) return kept;
    scratch.resize(static_cast<size_t>(element_count(fields_[0].shape)));
    with_context(entry(index).path, [&] { decode(entry(index).path, reinterpret_cast<uint8_t*>(scratch.data())); });
    cache_.keep(index, scratch.data());
    return scratch.data();
  }
  bool decodes() const override { return true; }
  bool labelled() const override { return !list_.classes.empty(); }
  int64_t label(int64_t index) const override { return entry(index).label; }
  int64_t class_count() const override { return static_cast<int64_t>(list_.classes.size()); }

 private:
  const ImageList::Entry& entry(int64_t index) const { return list_.images[static_cast<size_t>(index)]; }

  void decode(const std::string& path, uint8_t* target) const {
    thread_local DecodeMemory memory;
    const std::string file = read_file(path);
    ImageFrame frame;
    const auto needed = [&](ImageSize whole) {
      frame = rule_.frame(whole);
      return frame.resized;
    };
    Image& image = memory.image;
    decode_image(std::as_bytes(std::span(file)), channels_, needed, image);
    const auto [height, width] = frame.kept;
    const ImageSteps planes{width, 1, height * width}, interleaved{width * channels_, channels_, 1};
    resize_image(image.pixels.data(), {image.height, image.exact_height, frame.resized.height, frame.top, height},
                 {image.width, image.exact_width, frame.resized.width, frame.left, width}, channels_, memory.resize,
                 target, layout_ == Layout::nhwc ? interleaved : planes);
  }

  std::string path_;
  ImageList list_;
  ImageRule rule_;
  int64_t channels_;
  Layout layout_;
  std::vector<Field> fields_;
  SampleCache cache_;
};

std::string folder_of(const std::string& path, const DataRequest& request) {
  const std::string part = find_image_split(path, request.split);
  if (part.empty() && request.only_split)
    fail_usage("--split {}: {} has no folders train and val", request.split, path);
  return part.empty() ? path : part;
}

void warn_of_skipped(const ImageList& list, const DataRequest& request) {
  if (list.skipped.empty() || !request.warn) return;
  const size_t others = list.skipped.size() - 1;
  request.warn(fmt::format("{}{} neither JPEG nor PNG: left out", list.skipped.front(),
                           others == 0 ? " is" : fmt::format(" and {} other files are", others)));
}

}  // namespace

bool is_image_folder(const std::string& path) { return holds_images(path); }

DatasetPtr open_image_folder(const std::string& path, const DataRequest& request) {
  if (!request.labels.empty())
    fail_usage("--labels: the labels of an image folder are its folders (got '{}'); leave it out", request.labels);
  const std::string folder = folder_of(path, request);
  ImageList list = list_images(folder);
  if (list.images.empty()) {
    if (list.skipped.empty()) fail_input("{}: the data set is empty (expected at least one image)", folder);
    fail_input("{}: neither a JPEG nor a PNG file, and {} holds no other", list.skipped.front(), folder);
  }
  warn_of_skipped(list, request);
  const ModelImages model = images_of_model(folder, request);
  const ImageRule rule = with_context(folder, [&] { return image_rule(request.resize, request.crop, model.size); });
  const int64_t channels = model.channels > 0 ? model.channels : 3;
  const auto size = static_cast<int64_t>(list.images.size());
  const int64_t used = request.limit > 0 ? std::min(request.limit, size) : size;
  return std::make_shared<ImageDataset>(folder, std::move(list), rule, channels, model.layout, used);
}

}  // namespace pare
