#include "base/log.h"

#include <cstdio>
#include <ctime>

namespace shoal {
namespace {

/// A line that is cut rather than grown.
class Line {
 public:
  void put(std::string_view text) { text_.assign_rest(text); }
  void put(char c) { put(std::string_view(&c, 1)); }
  void number(std::int64_t value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(value));
    put(std::string_view(digits));
  }
  /// In quotes, with every control byte, quote and backslash escaped: one value can never forge a second line or field.
  void quoted(std::string_view value) {
    put('"');
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        put('\\');
        put(c);
      } else if (byte < 0x20 || byte == 0x7f) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
        put(std::string_view(escaped));
      } else {
        put(c);
      }
    }
    put('"');
  }
  std::string_view finish() {
    text_.end_line();
    return text_.view();
  }

 private:
  struct Text {
    void assign_rest(std::string_view s) {
      const std::size_t room = sizeof(data) - 1 - size;
      if (s.size() > room) s = s.substr(0, room);
      std::memcpy(data + size, s.data(), s.size());
      size += s.size();
    }
    void end_line() { data[size++] = '\n'; }
    [[nodiscard]] std::string_view view() const { return {data, size}; }
    char data[Log::kLineBytesMax];
    std::size_t size = 0;
  };
  Text text_;
};

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '"' || c == '\\' || c == '=') return true;
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
        line.put(field.text);
      }
      return;
    case Field::Kind::kNumber:
    case Field::Kind::kDuration: line.number(field.number); return;
    case Field::Kind::kBool: line.put(field.number != 0 ? "true" : "false"); return;
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
  if (!enabled(level)) return;
  Line line;
  const bool json = format_ == LogFormat::kJson;
  line.put(json ? "{\"time\":\"" : "");
  put_time(line, wall_clock_());
  if (json) {
    line.put("\",\"level\":\"");
    line.put(to_text(level));
    line.put("\",\"event\":");
    line.quoted(event);
  } else {
    line.put(' ');
    line.put(to_text(level));
    line.put(' ');
    line.put(event);
  }
  for (const Field& field : fields) {
    if (json) {
      line.put(',');
      line.quoted(field.key);
      line.put(':');
    } else {
      line.put(' ');
      line.put(field.key);
      line.put('=');
    }
    put_value(line, field, json);
  }
  if (json) line.put('}');
  sink_(context_, line.finish());
}

}  // namespace shoal
