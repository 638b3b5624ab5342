#include "src/data/image_list.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "src/core/error.hpp"
#include "src/data/decode_image.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  // Opening each of a million files takes minutes on a cold disk: the name is believed, and decoding finds out.
  for (const std::string_view known : {".jpg", ".jpeg", ".jpe", ".jfif", ".png"})
    if (ending == known) return true;
  std::array<char, 8> start{};
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), start.size());
  return image_format(std::as_bytes(std::span(start).first(static_cast<size_t>(file.gcount())))) != ImageFormat::none;
}

// Files and folders in `folder`, sorted by name.
struct Listing {
  std::vector<fs::path> files;
  std::vector<fs::path> folders;
};

Listing list_folder(const fs::path& folder) {
  Listing listing;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.path().filename().string().starts_with('.')) continue;
    std::error_code broken;  // a link to nowhere is neither
    if (entry.is_directory(broken)) listing.folders.push_back(entry.path());
    else if (entry.is_regular_file(broken)) listing.files.push_back(entry.path());
  }
  if (unreadable) fail_run("{}: cannot be listed ({}); check its permissions", folder.string(), unreadable.message());
  const auto by_bytes = [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); };
  std::sort(listing.files.begin(), listing.files.end(), by_bytes);
  std::sort(listing.folders.begin(), listing.folders.end(), by_bytes);
  return listing;
}

constexpr int deepest = 32;  // links in a circle end here

void collect(const fs::path& folder, int64_t label, int depth, ImageList& list) {
  const Listing listing = list_folder(folder);
  for (const fs::path& file : listing.files) {
    if (is_image(file)) list.images.push_back({file.string(), label});
    else list.skipped.push_back(file.string());
  }
  if (label < 0 || depth >= deepest) return;
  for (const fs::path& inner : listing.folders) collect(inner, label, depth + 1, list);
}

bool holds_images(const fs::path& folder, int depth) {
  const Listing listing = list_folder(folder);
  return std::any_of(listing.files.begin(), listing.files.end(), is_image) ||
         (depth < deepest && std::any_of(listing.folders.begin(), listing.folders.end(),
                                         [&](const fs::path& inner) { return holds_images(inner, depth + 1); }));
}

bool has_classes(const fs::path& folder) {
  const Listing listing = list_folder(folder);
  return std::any_of(listing.folders.begin(), listing.folders.end(),
                     [](const fs::path& inner) { return holds_images(inner, 1); });
}

}  // namespace

ImageList list_images(const std::string& folder) {
  ImageList list;
  if (!has_classes(folder)) {
    collect(folder, -1, 0, list);
    return list;
  }
  for (const fs::path& inner : list_folder(folder).folders) {
    collect(inner, static_cast<int64_t>(list.classes.size()), 1, list);
    list.classes.push_back(inner.filename().string());
  }
  return list;
}

bool holds_images(const std::string& folder) { return fs::is_directory(folder) && holds_images(folder, 0); }

std::string find_image_split(const std::string& folder, const std::string& split) {
  std::vector<std::string> tests;
  for (const char* name : {"test", "val", "valid", "validation"}) {
    const fs::path path = fs::path(folder) / name;
    if (fs::is_directory(path)) tests.push_back(path.string());
  }
  const fs::path train = fs::path(folder) / "train";
  if (tests.empty() || !fs::is_directory(train)) return "";
  if (split == "train") return train.string();
  const auto labelled =
      std::find_if(tests.begin(), tests.end(), [](const std::string& path) { return has_classes(path); });
  return labelled != tests.end() ? *labelled : tests.front();
}

}  // namespace pare
