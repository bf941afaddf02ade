#include "haproxy/server_options.h"

namespace shoal::haproxy {
namespace {

constexpr std::size_t kWordsMax = 48;

bool is_harmless(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_.:-/@,=+()!*%").find(c) != std::string_view::npos;
}

}  // namespace

Result<ServerOptions> ServerOptions::parse(std::string_view text) {
  ServerOptions out;
  std::size_t words = 0;
  while (true) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    if (text.empty()) return out;
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    for (const char c : word) {
      if (!is_harmless(c)) return Error{0, "server options have a character that may not reach HAProxy's socket"};
    }
    const bool fits = (out.text_.empty() || out.text_.append(" ")) && out.text_.append(word);
    if (!fits || ++words > kWordsMax) return Error{0, "server options are longer than 1024 bytes or 48 words"};
    if (word == "check") out.has_check_ = true;
  }
}

}  // namespace shoal::haproxy
