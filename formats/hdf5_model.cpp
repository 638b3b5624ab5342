#include "formats/hdf5_model.hpp"

#include "formats/hdf5_file.hpp"
#include "formats/hdf5_tensors.hpp"
#include "formats/provenance.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr const char* format_name = "pare";
constexpr int64_t format_version = 1;

// Smaller tensors stay in the graph: a row of the table costs about as much as they take.
constexpr int64_t smallest_moved = 64;

// Metadata whose text is a dataset of its own; the graph keeps the key with an empty value.
struct TextDataset {
  const char* key;
  const char* dataset;
};
constexpr TextDataset text_datasets[] = {{lineage_key, "lineage"}, {mask_key, "masks"}};

bool moves_out(const NamedTensor& named) {
  return dtype_bits(named.tensor.dtype) > 0 && named.tensor.byte_size() >= smallest_moved &&
         named.tensor.data.size() == static_cast<size_t>(named.tensor.byte_size()) &&
         named.name.find('\0') == std::string::npos;
}

struct Parts {
  Bytes graph;
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> texts;  // by metadata key
};

// `texts_apart`: lineage and masks as datasets of their own; in the graph, with which they are deflated, they take some
// 300 bytes less.
Parts take_apart(const Model& model, bool texts_apart) {
  Parts parts;
  std::map<std::string, std::string> metadata = missing_provenance(model);
  metadata.insert(model.onnx.metadata.begin(), model.onnx.metadata.end());
  OnnxEdit edit;
  for (const TextDataset& text : text_datasets) {
    const auto entry = metadata.find(text.key);
    if (entry == metadata.end()) continue;
    if (texts_apart) parts.texts.insert(*entry);
    edit.metadata[text.key] = texts_apart ? "" : entry->second;
  }
  edit.tensor_data = [&](const NamedTensor& named) -> std::optional<Bytes> {
    if (!moves_out(named)) return std::nullopt;
    parts.tensors.push_back(named);
    return Bytes();
  };
  parts.graph = edit_onnx(model.onnx, edit).flatten();
  return parts;
}

OnnxModel put_together(const Parts& parts, const std::string& path) {
  const OnnxModel graph = with_context("dataset 'graph'", [&] { return open_onnx(parts.graph, path); });
  OnnxEdit edit;
  edit.metadata = parts.texts;
  size_t next = 0;
  edit.tensor_data = [&](const NamedTensor& gap) -> std::optional<Bytes> {
    if (gap.tensor.data.size() > 0 || next == parts.tensors.size() || parts.tensors[next].name != gap.name)
      return std::nullopt;
    const Tensor& tensor = parts.tensors[next++].tensor;
    if (tensor.dtype != gap.tensor.dtype || tensor.shape != gap.tensor.shape)
      fail_input("tensor '{}': does not fit the graph (got {} of {}, expected {} of {})", gap.name,
                 dtype_name(tensor.dtype), shape_text(tensor.shape), dtype_name(gap.tensor.dtype),
                 shape_text(gap.tensor.shape));
    return tensor.data;
  };
  const ByteRope bytes = edit_onnx(graph, edit);
  if (next < parts.tensors.size())
    fail_input("tensor '{}': is not in the graph at its place", parts.tensors[next].name);
  return open_onnx(bytes.flatten(), path);
}

void check_header(const Hdf5Group& root) {
  if (!root.has_attribute("format") || root.attribute("format") != format_name)
    fail_input("not a model of pare (no attribute format=\"{}\")", format_name);
  const int64_t version = root.integer_attribute("format_version");
  if (version != format_version)
    fail_input("attribute 'format_version': unknown version (got {}, expected {}); use a newer pare", version,
               format_version);
}

}  // namespace

Model load_hdf5_model(const std::string& path) {
  const Hdf5File file = Hdf5File::open(path);
  const Hdf5Group root = file.root();
  check_header(root);
  Parts parts;
  parts.graph = root.read_bytes("graph");
  for (const TextDataset& text : text_datasets)
    if (root.has(text.dataset)) parts.texts[text.key] = root.read_text(text.dataset);
  std::string damaged;
  for (StoredTensor& stored : read_tensors(root)) {
    if (!stored.intact && damaged.empty()) damaged = stored.named.name;
    parts.tensors.push_back(std::move(stored.named));
  }
  if (!damaged.empty())
    fail_input("tensor '{}': damaged (its bytes do not have the stored sha256); restore the file", damaged);
  Model model;
  model.onnx = put_together(parts, path);
  const std::string sha256 = sha256_hex(model.onnx.bytes.span());
  const std::string expected = root.attribute("onnx_sha256");
  if (sha256 != expected)
    fail_input("dataset 'graph': damaged (the ONNX has sha256 {:.12}, expected {:.12}); restore the file", sha256,
               expected);
  read_provenance(model);
  return model;
}

void save_hdf5_model(const Model& model, const std::string& path, const SaveOptions& options) {
  const Parts parts = take_apart(model, !options.entropy_code);
  Hdf5File file = Hdf5File::create(static_cast<unsigned>(2 + parts.texts.size()));
  Hdf5Group root = file.root();
  root.set_attribute("format", format_name);
  root.set_attribute("format_version", format_version);
  root.set_attribute("producer", "pare " PARE_VERSION);
  root.set_attribute("onnx_sha256", sha256_hex(put_together(parts, path).bytes.span()));
  root.write_deflated("graph", parts.graph);
  for (const TextDataset& text : text_datasets)
    if (const auto entry = parts.texts.find(text.key); entry != parts.texts.end())
      root.write_text(text.dataset, entry->second);
  write_tensors(root, parts.tensors, options.entropy_code);
  AtomicFile target(path);
  file.write_to(target);
  target.commit();
}

}  // namespace pare
