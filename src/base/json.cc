#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/utf8.h"

namespace shoal {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kDigits = "0123456789";

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    const auto byte = static_cast<std::uint8_t>(text.front());
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text.front();
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f || size == 0) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(byte));
      out += escape;
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  out += '"';
}

bool JsonReader::enter(char c) {
  if (!ok_ || depth_ == kDepthMax || !expect(c)) return fail();
  ++depth_;
  return true;
}

char JsonReader::peek() {
  at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size());
  return ok_ && at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonReader::take(char c) {
  if (peek() != c) return false;
  ++at_;
  return true;
}

bool JsonReader::at_end() { return ok_ && peek() == '\0' && at_ == text_.size(); }

bool JsonReader::word(std::string_view word) {
  if (peek() != word[0] || text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

bool JsonReader::boolean(bool& out) {
  if (word("true")) {
    out = true;
  } else if (word("false")) {
    out = false;
  } else {
    return fail();
  }
  return true;
}

bool JsonReader::text(std::string& out) {
  out.clear();
  if (!expect('"')) return false;
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') return true;
    if (static_cast<unsigned char>(c) < 0x20) return fail();
    if (c != '\\') {
      out += c;
    } else if (!escape(out)) {
      return fail();
    }
  }
  return fail();
}

bool JsonReader::escape(std::string& out) {
  if (at_ >= text_.size()) return false;
  const char c = text_[at_++];
  constexpr std::string_view kNames = "\"\\/bfnrt";
  constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  if (const std::size_t i = kNames.find(c); i != std::string_view::npos) {
    out += kMeant[i];
    return true;
  }
  std::uint32_t code = 0;
  if (c != 'u' || !hex(code)) return false;
  if (code >= 0xd800 && code <= 0xdbff) {
    std::uint32_t low = 0;
    if (text_.substr(at_, 2) != "\\u") return false;
    at_ += 2;
    if (!hex(low) || low < 0xdc00 || low > 0xdfff) return false;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  } else if (code >= 0xdc00 && code <= 0xdfff) {
    return false;
  }
  append_utf8(out, code);
  return true;
}

bool JsonReader::hex(std::uint32_t& out) {
  const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
  at_ += digits.size();
  return digits.size() == 4 && error == std::errc{} && end == digits.data() + 4;
}

bool JsonReader::whole_number(std::int64_t& out) {
  const std::size_t begin = (static_cast<void>(peek()), at_);
  if (!skip_number()) return false;
  const std::string_view digits = text_.substr(begin, at_ - begin);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return (error == std::errc{} && end == digits.data() + digits.size()) || fail();
}

bool JsonReader::skip_number() {
  const auto digits = [this] {
    const std::size_t end = std::min(text_.find_first_not_of(kDigits, at_), text_.size());
    const bool any = end > at_;
    at_ = end;
    return any;
  };
  const auto here = [this](char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  };
  (void)peek();
  if (!ok_) return false;
  here('-');
  if (!here('0') && !digits()) return fail();  // A 0 in front stands alone.
  if (here('.') && !digits()) return fail();
  if (here('e') || here('E')) {
    if (!here('+')) here('-');
    if (!digits()) return fail();
  }
  return true;
}

bool JsonReader::skip() {
  switch (peek()) {
    case '{': return object([this](std::string_view) { skip(); });
    case '[': return array([this] { skip(); });
    case '"': {
      std::string ignored;
      return text(ignored);
    }
    case 't':
    case 'f': {
      bool ignored = false;
      return boolean(ignored);
    }
    case 'n': return word("null") || fail();
    default: return skip_number();
  }
}

}  // namespace shoal
