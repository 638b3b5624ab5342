// protozero, set up so that a field with an unexpected wire type is an error like any other malformed message.
#pragma once

#include <string_view>

#include <protozero/exception.hpp>

namespace pare {

struct WireTypeError : protozero::exception {
  const char* what() const noexcept override { return "field with an unexpected wire type"; }
};

}  // namespace pare

#define protozero_assert(condition)                  \
  do {                                               \
    if (!(condition)) throw ::pare::WireTypeError(); \
  } while (false)

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace pare {

inline protozero::pbf_reader reader_of(std::string_view message) { return {message.data(), message.size()}; }

// The payload of the current length-delimited field.
inline std::string_view payload_of(protozero::pbf_reader& reader) {
  const protozero::data_view view = reader.get_view();
  return {view.data(), view.size()};
}

}  // namespace pare
