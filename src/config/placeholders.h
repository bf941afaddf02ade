// {addr}, {port} and {fd} in the words of worker.command; `{{` is a brace. A brace that begins no {word} is itself, so
// that `awk '{ print }'` and JSON pass unharmed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoal::config {

struct PlaceholderValues {
  std::string_view addr;  // The address that peers reach.
  std::uint16_t port = 0;
  int fd = 0;  // The listening socket's number in the worker.
};

/// The first {word} that is none of the three, braces included; empty when all is well.
[[nodiscard]] std::string_view unknown_placeholder(std::string_view word);

/// Whether {fd} stands in it, and would be filled in.
[[nodiscard]] bool names_fd(std::string_view word);

/// REQUIRES: unknown_placeholder(word) is empty.
[[nodiscard]] std::string fill_placeholders(std::string_view word, const PlaceholderValues& values);

}  // namespace shoal::config
