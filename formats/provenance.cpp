#include "formats/provenance.hpp"

#include "src/core/error.hpp"

namespace pare {
namespace {

// The array under `key`, empty when there is none.
Json stored_array(const OnnxModel& onnx, const char* key) {
  const auto entry = onnx.metadata.find(key);
  if (entry == onnx.metadata.end()) return Json::array();
  Json array = Json::parse(entry->second, nullptr, false);
  if (!array.is_array()) fail_input("metadata '{}': is not a JSON array (got {:.40})", key, entry->second);
  return array;
}

}  // namespace

void read_provenance(Model& model) {
  model.lineage = stored_array(model.onnx, lineage_key);
  model.masked.clear();
  for (const Json& name : stored_array(model.onnx, mask_key)) {
    if (!name.is_string())
      fail_input("metadata '{}': holds more than tensor names (got {:.40})", mask_key, name.dump());
    model.masked.push_back(name.get<std::string>());
  }
}

std::map<std::string, std::string> missing_provenance(const Model& model) {
  std::map<std::string, std::string> missing;
  const Json lineage = model.lineage.is_null() ? Json::array() : model.lineage;
  const Json masked = model.masked;
  if (stored_array(model.onnx, lineage_key) != lineage) missing[lineage_key] = lineage.dump();
  if (stored_array(model.onnx, mask_key) != masked) missing[mask_key] = masked.dump();
  return missing;
}

}  // namespace pare
