// Folders of IDX files in the layout of MNIST.
#pragma once

#include <string>

#include "src/data/open_data.hpp"

namespace pare {

// True for a folder with the images of at least one split.
bool is_idx_folder(const std::string& path);

// Opens request.split: "train" (files train-*) or "test" (t10k-*). Of a plain and a .gz file the plain one is taken.
// Images [N,H,W] become samples [1,H,W], [N,C,H,W] samples [C,H,W], [N,F] samples [F]. A folder without any label file
// is unlabelled. Throws: exit 2 for a split that is unknown or not there; exit 3 for broken files, a missing label
// file, different counts of images and labels, labels that are not integers, and an empty set.
DatasetPtr open_idx_folder(const std::string& path, const DataRequest& request);

}  // namespace pare
