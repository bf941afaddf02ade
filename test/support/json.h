// A small strict JSON reader for test data: no comments, no trailing commas, whole numbers kept exact. Anything it does
// not like ends the test run, with the place.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::test {

class Json {
 public:
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kText, kList, kObject };

  [[nodiscard]] static Json parse(std::string_view text) {
    Parser parser{text};
    Json value = parser.value(0);
    parser.space();
    if (parser.at != text.size()) parser.fail("something behind the value");
    return value;
  }
  [[nodiscard]] static Json load(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) {
      std::fprintf(stderr, "cannot open %s\n", path.c_str());
      std::abort();
    }
    std::string text;
    char block[4096];
    for (std::size_t n = 0; (n = std::fread(block, 1, sizeof block, file)) > 0;) text.append(block, n);
    std::fclose(file);
    return parse(text);
  }

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool null() const { return kind_ == Kind::kNull; }
  [[nodiscard]] bool is_text() const { return kind_ == Kind::kText; }
  [[nodiscard]] bool is_object() const { return kind_ == Kind::kObject; }
  [[nodiscard]] bool boolean() const { return need(Kind::kBool), whole_ != 0; }
  [[nodiscard]] std::int64_t whole() const { return need(Kind::kNumber), whole_; }
  [[nodiscard]] const std::string& text() const { return need(Kind::kText), text_; }
  [[nodiscard]] const std::vector<Json>& list() const { return need(Kind::kList), values_; }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  [[nodiscard]] const std::vector<std::string>& keys() const { return need(Kind::kObject), keys_; }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  /// Null when there is no such key.
  [[nodiscard]] const Json& operator[](std::string_view key) const {
    static const Json kNone;
    const Json* value = find(key);
    return value == nullptr ? kNone : *value;
  }

 private:
  struct Parser {
    std::string_view text;
    std::size_t at = 0;

    [[noreturn]] void fail(const char* why) const {
      std::fprintf(stderr, "bad JSON at byte %zu: %s\n", at, why);
      std::abort();
    }
    [[nodiscard]] char peek() const { return at < text.size() ? text[at] : '\0'; }
    void space() {
      while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at;
    }
    void expect(std::string_view word) {
      if (text.substr(at, word.size()) != word) fail("unexpected character");
      at += word.size();
    }
    bool take(char c) {
      space();
      if (peek() != c) return false;
      ++at;
      return true;
    }
    std::uint32_t code_unit() {
      std::uint32_t unit = 0;
      for (int i = 0; i < 4; ++i, ++at) {
        const char c = peek();
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) fail("bad \\u");
        unit = unit << 4 | static_cast<std::uint32_t>(digit);
      }
      return unit;
    }
    void append_utf8(std::string& out, std::uint32_t c) {
      const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
      if (c < 0x80) return put(c);
      if (c < 0x800) {
        put(0xc0 | c >> 6);
      } else if (c < 0x10000) {
        put(0xe0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3f));
      } else {
        put(0xf0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3f));
        put(0x80 | (c >> 6 & 0x3f));
      }
      put(0x80 | (c & 0x3f));
    }
    std::string string() {
      expect("\"");
      std::string out;
      while (peek() != '"') {
        if (at >= text.size() || static_cast<unsigned char>(peek()) < 0x20) fail("unfinished string");
        const char c = text[at++];
        if (c != '\\') {
          out += c;
          continue;
        }
        const char escape = peek();
        ++at;
        constexpr std::string_view kEscapes = "\"\\/bfnrt";
        constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
        if (const std::size_t i = kEscapes.find(escape); i != std::string_view::npos) {
          out += kMeanings[i];
        } else if (escape == 'u') {
          std::uint32_t unit = code_unit();
          if (unit >= 0xd800 && unit < 0xdc00) {
            expect("\\u");
            unit = 0x10000 + ((unit - 0xd800) << 10 | (code_unit() - 0xdc00));
          }
          append_utf8(out, unit);
        } else {
          fail("unknown escape");
        }
      }
      ++at;
      return out;
    }
    Json number() {
      const std::size_t begin = at;
      while (std::string_view("+-.eE0123456789").find(peek()) != std::string_view::npos && peek() != '\0') ++at;
      if (at == begin) fail("no value");
      const std::string digits(text.substr(begin, at - begin));
      char* end = nullptr;
      Json out;
      out.kind_ = Kind::kNumber;
      out.whole_ = std::strtoll(digits.c_str(), &end, 10);
      if (*end != '\0') out.whole_ = static_cast<std::int64_t>(std::strtod(digits.c_str(), &end));
      if (*end != '\0') fail("bad number");
      return out;
    }
    Json value(int depth) {
      if (depth > 50) fail("too deep");
      space();
      Json out;
      if (peek() == '"') {
        out.kind_ = Kind::kText;
        out.text_ = string();
      } else if (take('[')) {
        out.kind_ = Kind::kList;
        if (take(']')) return out;
        do out.values_.push_back(value(depth + 1));
        while (take(','));
        if (!take(']')) fail("no ]");
      } else if (take('{')) {
        out.kind_ = Kind::kObject;
        if (take('}')) return out;
        do {
          space();
          out.keys_.push_back(string());
          if (!take(':')) fail("no :");
          out.values_.push_back(value(depth + 1));
        } while (take(','));
        if (!take('}')) fail("no }");
      } else if (peek() == 't' || peek() == 'f') {
        out.kind_ = Kind::kBool;
        out.whole_ = peek() == 't' ? 1 : 0;
        expect(peek() == 't' ? "true" : "false");
      } else if (peek() == 'n') {
        expect("null");
      } else {
        return number();
      }
      return out;
    }
  };

  void need(Kind kind) const {
    if (kind_ == kind) return;
    std::fprintf(stderr, "JSON: a value of another kind was expected\n");
    std::abort();
  }
  [[nodiscard]] const Json* find(std::string_view key) const {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i] == key) return &values_[i];
    }
    return nullptr;
  }

  Kind kind_ = Kind::kNull;
  std::int64_t whole_ = 0;
  std::string text_;
  std::vector<std::string> keys_;
  std::vector<Json> values_;
};

}  // namespace shoal::test
