// Folders of JPEG and PNG files as samples for a model.
#pragma once

#include <string>

#include "src/data/open_data.hpp"

namespace pare {

// True for a folder with an image in it or in its folders.
bool is_image_folder(const std::string& path);

// The images of `path` (list_images(), of a split find_image_split()) as uint8 samples in the layout and size of the
// model's image input: the one bound to the array `images`, else the first with 4 dimensions. They are decoded when
// they are read, grey or RGB as the model takes it, resized and cropped (image_rule()), and kept in memory where those
// that will be read (DataRequest::limit) fit in half of what is free. Throws: exit 2 for a split that is not there and
// for sizes that nothing tells; exit 3 for a model that takes no images of 1 or 3 channels or of another size; reading
// a sample throws exit 3 naming its file.
DatasetPtr open_image_folder(const std::string& path, const DataRequest& request);

}  // namespace pare
