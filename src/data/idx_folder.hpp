// Folders of IDX files in the layout of MNIST.
#pragma once

#include <string>
#include <string_view>

#include "src/data/dataset.hpp"

namespace pare {

// What an IDX folder holds, in words for messages and help.
inline constexpr std::string_view idx_folder_layout =
    "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, "
    "each "
    "plain or .gz";

// True for a folder with the images of at least one split.
bool is_idx_folder(const std::string& path);

// Opens split "train" (files train-*) or "test" (t10k-*). Of a plain and a .gz file the plain one is taken. Images
// [N,H,W] become samples [1,H,W], [N,C,H,W] samples [C,H,W], [N,F] samples [F]. A folder without any label file is
// unlabelled. Throws: exit 2 for a split that is unknown or not there; exit 3 for broken files, a missing label file,
// different counts of images and labels, labels that are not integers, and an empty set.
DatasetPtr open_idx_folder(const std::string& path, std::string_view split);

}  // namespace pare
