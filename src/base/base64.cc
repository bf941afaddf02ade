#include "base/base64.h"

#include <algorithm>
#include <cstdint>

namespace shoal {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// 64 and more: not in the alphabet.
constexpr std::uint32_t value_of(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<std::uint32_t>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<std::uint32_t>(c - 'a' + 26);
  if (c >= '0' && c <= '9') return static_cast<std::uint32_t>(c - '0' + 52);
  return c == '+' ? 62 : c == '/' ? 63 : 64;
}

}  // namespace

void base64_encode(ByteWriter& out, Bytes bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t size = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < size ? bytes[at + i] : 0u);
    for (std::size_t i = 0; i < 4; ++i) {
      const char c = i <= size ? kAlphabet[group >> (18 - 6 * i) & 63] : '=';
      out.u8(static_cast<std::uint8_t>(c));
    }
  }
}

std::optional<std::size_t> base64_decode(std::string_view text, MutableBytes out) {
  if (text.size() % 4 != 0) return std::nullopt;
  ByteWriter writer(out);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const bool is_last = at + 4 == text.size();
    const std::size_t padding = !is_last || text[at + 3] != '=' ? 0u : text[at + 2] != '=' ? 1u : 2u;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint32_t value = i + padding < 4 ? value_of(text[at + i]) : 0u;
      if (value > 63) return std::nullopt;
      group = group << 6 | value;
    }
    if (padding > 0 && (group & ((1u << (8 * padding)) - 1)) != 0) return std::nullopt;
    for (std::size_t i = 0; i < 3 - padding; ++i) writer.u8(static_cast<std::uint8_t>(group >> (16 - 8 * i)));
  }
  if (!writer.ok()) return std::nullopt;
  return writer.size();
}

}  // namespace shoal
