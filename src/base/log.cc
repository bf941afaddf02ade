#include "base/log.h"

#include <cstdio>
#include <ctime>
#include <utility>

#include "base/utf8.h"

namespace shoal {
namespace {

// A longer value is cut, so that one from outside cannot push the fields behind it out of the line.
constexpr std::size_t kValueBytesMax = 1024;

/// A line that is cut rather than grown, at whole fields and whole characters: a cut line is still a valid one.
class Line {
 public:
  void put(std::string_view text) {
    if (text.size() > room()) {
      overflow_ = true;
      return;
    }
    std::memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
  }
  void put(char c) { put(std::string_view(&c, 1)); }
  void number(std::int64_t value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(value));
    put(std::string_view(digits));
  }
  /// As it stands, or its beginning and "...".
  void plain(std::string_view value) {
    const std::size_t most = room() < kValueBytesMax ? room() : kValueBytesMax;
    if (value.size() <= most) return put(value);
    put(value.substr(0, most < kCut.size() ? 0 : most - kCut.size()));
    put(kCut);
  }
  /// In quotes, with every control byte, quote and backslash escaped, and what is no UTF-8 replaced: one value can
  /// never forge a second line or field.
  void quoted(std::string_view value) {
    const std::size_t end = size_ + (room() < kValueBytesMax ? room() : kValueBytesMax);
    put('"');
    while (!value.empty()) {
      const std::size_t size = utf8_size(value);
      char escaped[8];
      const std::string_view unit = escape(value.substr(0, size == 0 ? 1 : size), size != 0, escaped);
      if (size_ + unit.size() + kCut.size() + 1 > end) {
        put(kCut);
        break;
      }
      put(unit);
      value.remove_prefix(size == 0 ? 1 : size);
    }
    put('"');
  }
  /// The same for as much of `value` as leaves `reserve` bytes free. How many of its bytes that was.
  std::size_t quoted_piece(std::string_view value, std::size_t reserve) {
    std::size_t taken = 0;
    put('"');
    while (taken < value.size()) {
      const std::size_t size = utf8_size(value.substr(taken));
      char escaped[8];
      const std::string_view unit = escape(value.substr(taken, size == 0 ? 1 : size), size != 0, escaped);
      if (unit.size() + 1 + reserve > room()) break;
      put(unit);
      taken += size == 0 ? 1 : size;
    }
    put('"');
    return taken;
  }
  /// Whatever `f` puts, or nothing and false when it does not fit.
  template <typename F>
  bool whole(F&& f) {
    const std::size_t before = size_;
    overflow_ = false;
    f();
    if (overflow_) size_ = before;
    return !overflow_;
  }
  std::string_view finish(bool json) {
    if (json) data_[size_++] = '}';
    data_[size_++] = '\n';
    return {data_, size_};
  }

 private:
  static constexpr std::string_view kCut = "...";
  static constexpr std::size_t kTailBytes = 2;  // The brace and the newline.

  [[nodiscard]] std::size_t room() const { return sizeof data_ - kTailBytes - size_; }
  static std::string_view escape(std::string_view character, bool valid, char (&memory)[8]) {
    if (!valid) return "\\ufffd";
    const auto first = static_cast<unsigned char>(character[0]);
    // C1 controls (two bytes, C2 80 to C2 9F) steer terminals as ESC does.
    const bool c1 = first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
    if (first == '"') return "\\\"";
    if (first == '\\') return "\\\\";
    if (first >= 0x20 && first != 0x7f && !c1) return character;
    std::snprintf(memory, sizeof memory, "\\u%04x", c1 ? static_cast<unsigned char>(character[1]) : first);
    return memory;
  }

  char data_[Log::kLineBytesMax];
  std::size_t size_ = 0;
  bool overflow_ = false;
};

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '\\' || c == '=') return true;
  }
  return false;
}

void put_time(Line& line, std::int64_t wall_ms) {
  const std::time_t seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  line.put(std::string_view(text, size));
  std::snprintf(text, sizeof text, ".%03dZ", static_cast<int>(wall_ms % 1000));
  line.put(std::string_view(text));
}

void put_value(Line& line, const Field& field, bool json) {
  switch (field.kind) {
    case Field::Kind::kText:
      if (json || needs_quotes(field.text)) {
        line.quoted(field.text);
      } else {
        line.plain(field.text);
      }
      return;
    case Field::Kind::kNumber:
    case Field::Kind::kDuration: line.number(field.number); return;
    case Field::Kind::kBool: line.put(field.number != 0 ? "true" : "false"); return;
  }
}

void put_start(Line& line, bool json, std::int64_t wall_ms, LogLevel level, std::string_view event) {
  line.put(json ? "{\"time\":\"" : "");
  put_time(line, wall_ms);
  if (json) {
    line.put("\",\"level\":\"");
    line.put(to_text(level));
    line.put("\",\"event\":");
    line.quoted(event);
  } else {
    line.put(' ');
    line.put(to_text(level));
    line.put(' ');
    line.plain(event);
  }
}

void put_key(Line& line, bool json, std::string_view key) {
  line.put(json ? "," : " ");
  if (json) line.quoted(key);
  if (!json) line.put(key);
  line.put(json ? ':' : '=');
}

void put_fields(Line& line, bool json, std::initializer_list<Field> fields) {
  for (const Field& field : fields) {
    const bool fits = line.whole([&] {
      put_key(line, json, field.key);
      put_value(line, field, json);
    });
    if (!fits) break;
  }
}

}  // namespace

std::string_view to_text(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  SHOAL_UNREACHABLE();
}

void Log::write(LogLevel level, std::string_view event, std::initializer_list<Field> fields) {
  if (const Tap tap = std::exchange(tap_, nullptr)) {
    Line line;
    line.plain(event);
    put_fields(line, false, fields);
    const std::string_view text = line.finish(false);
    tap(tap_context_, level, text.substr(0, text.size() - 1));
    tap_ = tap;
  }
  if (!enabled(level)) return;
  Line line;
  const bool json = format_ == LogFormat::kJson;
  put_start(line, json, wall_clock_(), level, event);
  put_fields(line, json, fields);
  sink_(context_, line.finish(json));
}

std::size_t Log::write_text(std::string_view event, std::initializer_list<Field> fields, std::string_view text,
                            bool partial) {
  constexpr std::size_t kForPartial = sizeof ",\"partial\":true";
  Line line;
  const bool json = format_ == LogFormat::kJson;
  put_start(line, json, wall_clock_(), LogLevel::kInfo, event);
  put_fields(line, json, fields);
  put_key(line, json, "line");
  const std::size_t taken = line.quoted_piece(text, kForPartial);
  if (partial || taken < text.size()) {
    put_key(line, json, "partial");
    line.put("true");
  }
  sink_(context_, line.finish(json));
  return taken;
}

}  // namespace shoal
