#include "formats/onnx_message.hpp"

#include <protozero/varint.hpp>

#include "formats/protobuf.hpp"

namespace pare {
namespace {

void append_varint(std::string& text, uint64_t value) { protozero::write_varint(std::back_inserter(text), value); }

}  // namespace

ByteRope edit_message(const Bytes& message, const std::function<FieldEdit(uint32_t, const Bytes&)>& edit) {
  ByteRope result;
  const std::string_view text = message.text();
  protozero::pbf_reader reader = reader_of(text);
  const char* kept_from = text.data();
  while (true) {
    const char* field_start = reader.data().data();
    if (!reader.next()) break;
    if (reader.wire_type() != protozero::pbf_wire_type::length_delimited) {
      reader.skip();
      continue;
    }
    const uint32_t number = reader.tag();  // reading the payload forgets it
    const std::string_view payload = payload_of(reader);
    FieldEdit change = edit(number, message.part(payload));
    if (change.action == FieldEdit::Action::keep) continue;
    result.append(message.part({kept_from, static_cast<size_t>(field_start - kept_from)}));
    result.append(length_delimited(number, change.content));
    kept_from = payload.data() + payload.size();
  }
  result.append(message.part({kept_from, static_cast<size_t>(text.data() + text.size() - kept_from)}));
  return result;
}

ByteRope length_delimited(uint32_t number, const ByteRope& content) {
  std::string head;
  append_varint(head, (uint64_t{number} << 3) | static_cast<uint64_t>(protozero::pbf_wire_type::length_delimited));
  append_varint(head, content.size());
  ByteRope field;
  field.append(std::move(head));
  field.append(content);
  return field;
}

}  // namespace pare
