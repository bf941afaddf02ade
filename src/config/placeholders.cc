#include "config/placeholders.h"

#include <cstddef>

#include "base/check.h"

namespace shoal::config {
namespace {

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The {word} that `text` begins with, braces included; empty when it begins with none.
std::string_view leading_placeholder(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && is_word_byte(text[end])) ++end;
  const bool is_one = text.size() > 1 && text[0] == '{' && end > 1 && end < text.size() && text[end] == '}';
  return is_one ? text.substr(0, end + 1) : std::string_view();
}

bool is_known(std::string_view placeholder) {
  return placeholder == "{addr}" || placeholder == "{port}" || placeholder == "{fd}";
}

}  // namespace

std::string_view unknown_placeholder(std::string_view word) {
  while (!word.empty()) {
    if (word.substr(0, 2) == "{{") {
      word.remove_prefix(2);
      continue;
    }
    const std::string_view placeholder = leading_placeholder(word);
    if (!placeholder.empty() && !is_known(placeholder)) return placeholder;
    word.remove_prefix(placeholder.empty() ? 1 : placeholder.size());
  }
  return {};
}

bool names_fd(std::string_view word) {
  while (!word.empty()) {
    const std::string_view placeholder = leading_placeholder(word);
    if (placeholder == "{fd}") return true;
    word.remove_prefix(word.substr(0, 2) == "{{" ? 2 : 1);
  }
  return false;
}

std::string fill_placeholders(std::string_view word, const PlaceholderValues& values) {
  std::string out;
  while (!word.empty()) {
    const std::string_view placeholder = leading_placeholder(word);
    if (word.substr(0, 2) == "{{") {
      out += '{';
      word.remove_prefix(2);
    } else if (placeholder.empty()) {
      out += word.front();
      word.remove_prefix(1);
    } else {
      SHOAL_ASSERT(is_known(placeholder));
      if (placeholder == "{addr}") out += values.addr;
      if (placeholder == "{port}") out += std::to_string(values.port);
      if (placeholder == "{fd}") out += std::to_string(values.fd);
      word.remove_prefix(placeholder.size());
    }
  }
  return out;
}

}  // namespace shoal::config
