#include "serf/keyring_file.h"

#include <array>

#include "base/base64.h"

namespace shoal::serf {

namespace {

constexpr std::size_t kKeyTextMax = 256;  // Far more than a key has: a longer word is no key, whatever is in it.

/// Reads the one shape that a keyring file has, and says where it ends to be that.
class Parser {
 public:
  Parser(std::string_view path, std::string_view text) : path_(path), text_(text) {}

  Result<KeyList> parse() {
    if (text_.size() > kKeyringFileBytesMax) {
      return error(0, "is larger than " + std::to_string(kKeyringFileBytesMax) + " bytes",
                   "check that the path names a keyring file");
    }
    if (!take('[')) return error(at_, "expected '['", kShape);
    if (take(']')) return error(at_ - 1, "the list has no key", "put at least one key in, as `serf keygen` makes them");
    do {
      if (auto problem = key()) return *problem;
    } while (take(','));
    if (!take(']')) return error(at_, "expected ',' or ']' after a key", kShape);
    skip_space();
    if (at_ != text_.size()) return error(at_, "something follows the list", "remove what stands after ']'");
    return keys_;
  }

 private:
  static constexpr const char* kShape = R"(the file has to be a JSON list of keys in base64: ["...", "..."])";

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  [[nodiscard]] Error error(std::size_t at, const std::string& what, std::string_view fix) const {
    std::size_t line = 1;
    std::size_t column = 1;
    for (const char c : text_.substr(0, at)) {
      column = c == '\n' ? 1 : column + 1;
      line += c == '\n' ? 1 : 0;
    }
    return {0, "keyring file " + std::string(path_) + " line " + std::to_string(line) + " column " +
                   std::to_string(column) + ": " + what + "; " + std::string(fix)};
  }

  std::optional<Error> key() {
    if (!take('"')) return error(at_, "expected a key in double quotes", kShape);
    const std::size_t start = at_ - 1;
    FixedString<kKeyTextMax> word;
    if (auto problem = rest_of_string(start, word)) return problem;

    std::array<std::uint8_t, kKeyTextMax> raw{};
    const auto size = base64_decode(word, raw);
    if (!size) return error(start, "the key is not base64", "take a key as `serf keygen` makes it, padding included");
    if (!wire::AeadKey::size_ok(*size)) {
      return error(start, "the key has " + std::to_string(*size) + " bytes", "a key has 16, 24 or 32 bytes");
    }
    Key found;
    SHOAL_ASSERT(found.assign(Bytes(raw).first(*size)));
    for (const Key& known : keys_) {
      if (known == found) return std::nullopt;
    }
    if (keys_.full()) {
      return error(start, "more than " + std::to_string(kKeyringKeysMax) + " keys", "remove keys that nobody uses");
    }
    keys_.push_back(found);
    return std::nullopt;
  }

  // Behind the first quote. Of JSON's escapes only those that base64 could have been written with mean something.
  std::optional<Error> rest_of_string(std::size_t start, FixedString<kKeyTextMax>& word) {
    while (at_ < text_.size()) {
      char c = text_[at_++];
      if (c == '"') return std::nullopt;
      if (static_cast<unsigned char>(c) < ' ') return error(at_ - 1, "a key goes over the end of the line", kShape);
      if (c == '\\' && !escape(c))
        return error(at_ - 1, "an escape that no key needs", "write the key in plain base64");
      if (!word.append({&c, 1})) return error(start, "the key is too long", "a key has 16, 24 or 32 bytes");
    }
    return error(start, "the key's closing quote is missing", kShape);
  }

  // `\/` and `\u00XX`.
  bool escape(char& c) {
    const std::string_view rest = text_.substr(at_);
    if (rest.substr(0, 1) == "/") {
      c = '/';
      ++at_;
      return true;
    }
    if (rest.size() < 5 || rest.substr(0, 3) != "u00") return false;
    unsigned value = 0;
    for (const char digit : rest.substr(3, 2)) {
      const char lower = static_cast<char>(digit | ' ');
      const bool is_digit = digit >= '0' && digit <= '9';
      if (!is_digit && (lower < 'a' || lower > 'f')) return false;
      value = value * 16 + static_cast<unsigned>(is_digit ? digit - '0' : lower - 'a' + 10);
    }
    c = static_cast<char>(value);
    at_ += 5;
    return true;
  }

  std::string_view path_;
  std::string_view text_;
  std::size_t at_ = 0;
  KeyList keys_;
};

}  // namespace

Result<KeyList> parse_keyring_file(std::string_view path, std::string_view text) { return Parser(path, text).parse(); }

FixedString<kKeyringTextMax> format_keyring_file(std::span<const Key> keys) {
  std::array<std::uint8_t, kKeyringTextMax> memory{};
  ByteWriter out(memory);
  out.put("[");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    out.put(i == 0 ? "\n  \"" : ",\n  \"");
    base64_encode(out, keys[i].view());
    out.put("\"");
  }
  out.put(keys.empty() ? "]" : "\n]");
  SHOAL_ASSERT(out.ok());
  return FixedString<kKeyringTextMax>(as_text(out.written()));
}

}  // namespace shoal::serf
