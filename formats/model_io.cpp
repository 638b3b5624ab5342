#include "formats/model_io.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "formats/provenance.hpp"
#include "src/core/error.hpp"

namespace pare {

// Weak: null in executables that do not link formats/hdf5_*.cpp.
[[gnu::weak]] Model load_hdf5_model(const std::string& path);
[[gnu::weak]] void save_hdf5_model(const Model& model, const std::string& path, const SaveOptions& options);

namespace {

Model load_onnx_model(const std::string& path) {
  Model model;
  model.onnx = open_onnx(map_file(path), path);
  read_provenance(model);
  return model;
}

void save_onnx_model(const Model& model, const std::string& path, const SaveOptions&) {
  save_onnx(model.onnx, missing_provenance(model), path, largest_onnx);
}

const std::array<Format, 3> formats = {{
    {"onnx", ".onnx", load_onnx_model, save_onnx_model},
    {"hdf5", ".h5", load_hdf5_model, save_hdf5_model},
    {"hdf5", ".hdf5", load_hdf5_model, save_hdf5_model},
}};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return text;
}

void require_linked(bool linked, const Format& format, const std::string& path) {
  if (!linked) fail_run("{}: this executable is built without {}; run it through `pare`", path, format.name);
}

}  // namespace

const Format& format_of(const std::string& path) {
  const std::string extension = lower(std::filesystem::path(path).extension().string());
  std::string known;
  for (const Format& format : formats) {
    if (extension == format.extension) return format;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", format.extension);
  }
  fail_usage("{}: unknown model format (got extension '{}', expected one of {}); rename the file", path, extension,
             known);
}

void save_onnx(const OnnxModel& model, const std::map<std::string, std::string>& metadata, const std::string& path,
               size_t largest) {
  ByteRope bytes = edit_onnx(model, {nullptr, metadata, nullptr});
  AtomicFile file(path);
  if (bytes.size() <= largest) {
    bytes.write_to(file);
    return file.commit();
  }
  const std::string data_path = path + ".data";
  ExternalData external(std::filesystem::path(data_path).filename().string());
  bytes = edit_onnx(model, {nullptr, metadata, &external});
  AtomicFile data(data_path);
  external.bytes().write_to(data);
  bytes.write_to(file);
  data.commit();
  try {
    file.commit();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(data_path, ignored);
    throw;
  }
}

Model load_model(const std::string& path) {
  const Format& format = format_of(path);
  require_linked(format.load != nullptr, format, path);
  const Bytes file = map_file(path);
  return with_context(path, [&] {
    Model model = format.load(path);
    model.path = path;
    model.format = format.name;
    model.sha256 = sha256_hex(file.span());
    model.file_bytes = file.size() + external_bytes(model.onnx);
    return model;
  });
}

WrittenFile save_model(const Model& model, const std::string& path, const SaveOptions& options) {
  const Format& format = format_of(path);
  require_linked(format.save != nullptr, format, path);
  format.save(model, path, options);
  const Bytes written = map_file(path);
  const size_t beside = std::string_view(format.name) == "onnx" ? external_bytes(open_onnx(written, path)) : 0;
  return {path, format.name, written.size() + beside, sha256_hex(written.span())};
}

}  // namespace pare
