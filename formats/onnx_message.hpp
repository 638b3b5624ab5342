// Copying a protobuf message with some fields edited: unedited runs of fields are aliased, never decoded.
#pragma once

#include <cstdint>
#include <functional>

#include "formats/byte_rope.hpp"

namespace pare {

struct FieldEdit {
  enum class Action { keep, replace };
  Action action = Action::keep;
  ByteRope content;  // the new payload of a replaced field

  static FieldEdit keep() { return {}; }
  static FieldEdit replace(ByteRope content) { return {Action::replace, std::move(content)}; }
};

// Calls `edit(number, payload)` for each length-delimited field of `message`, in order, and returns the edited copy;
// fields of other wire types are kept.
ByteRope edit_message(const Bytes& message,
                      const std::function<FieldEdit(uint32_t number, const Bytes& payload)>& edit);

// One length-delimited field: tag, length, content.
ByteRope length_delimited(uint32_t number, const ByteRope& content);

}  // namespace pare
