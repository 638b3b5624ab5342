// The files of an image folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pare {

struct ImageList {
  struct Entry {
    std::string path;
    int64_t label = -1;  // index of the class; -1 in a folder without classes
  };
  std::vector<Entry> images;
  std::vector<std::string> classes;  // names of the class folders, sorted by bytes; empty without any
  std::vector<std::string> skipped;  // files that are no images
};

// The images of `folder`: of its folders if any holds an image, a class each, folders inside of them included;
// otherwise its own files. Names that begin with a dot are left out. All are sorted by bytes, so that labels are those
// of torchvision's ImageFolder. A file is an image by the ending of its name (jpg, jpeg, jpe, jfif, png), else by its
// first bytes. Throws (exit 1) for a folder that cannot be listed.
ImageList list_images(const std::string& folder);

// Whether list_images() would find any, without looking at more than needed.
bool holds_images(const std::string& folder);

// The folder of `split` ("train" or "test") inside `folder`: `train`, or the first with classes of `test`, `val`,
// `valid` and `validation`, or the first of them. "" when `folder` is not divided so: it then has no folder `train`, or
// none of the others.
std::string find_image_split(const std::string& folder, const std::string& split);

}  // namespace pare
