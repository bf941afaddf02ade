// One line a state change: a level, an event in a few words, and key=value fields. The sink is injected; formatting is
// here so that text and JSON cannot drift apart. Logging decides nothing, never blocks, and never allocates.
//
//   info   an operator would want to know      warn   shoal acts or waits by itself (says how long)
//   error  a human is needed                   debug  the cores' own steps
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/endpoint.h"
#include "base/time.h"

namespace shoal {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

[[nodiscard]] std::string_view to_text(LogLevel level);

/// One key=value of a line. Text is borrowed until the call returns.
struct Field {
  enum class Kind : std::uint8_t { kText, kNumber, kDuration, kBool };

  Field(std::string_view k, std::string_view v) : key(k), kind(Kind::kText), text(v) {}
  Field(std::string_view k, const char* v) : key(k), kind(Kind::kText), text(v) {}
  template <std::size_t N>
  Field(std::string_view k, const FixedString<N>& v) : key(k), kind(Kind::kText), text(v.view()) {}
  Field(std::string_view k, bool v) : key(k), kind(Kind::kBool), number(v ? 1 : 0) {}
  template <typename Int>
  requires(std::is_integral_v<Int> && !std::is_same_v<Int, bool>) Field(std::string_view k, Int v)
      : key(k), kind(Kind::kNumber), number(static_cast<std::int64_t>(v)) {}
  /// Printed in milliseconds, as `key_ms`-style plain number; name the key so.
  Field(std::string_view k, Duration v) : key(k), kind(Kind::kDuration), number(to_ms(v)) {}

  std::string_view key;
  Kind kind;
  std::string_view text{};
  std::int64_t number = 0;
};

class Log {
 public:
  /// Gets one finished line, newline included, at most kLineBytesMax long.
  using Sink = void (*)(void* context, std::string_view line);
  /// Gives the wall-clock time in milliseconds since 1970; only lines carry it, no decision reads it.
  using WallClock = std::int64_t (*)();
  /// Gets every line whatever the level: as text, without time, level and newline.
  using Tap = void (*)(void* context, LogLevel level, std::string_view text);
  static constexpr std::size_t kLineBytesMax = 4096;

  Log(LogLevel level, LogFormat format, Sink sink, void* context, WallClock wall_clock)
      : level_(level), format_(format), sink_(sink), context_(context), wall_clock_(wall_clock) {}

  void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
    write(LogLevel::kDebug, event, fields);
  }
  void info(std::string_view event, std::initializer_list<Field> fields = {}) { write(LogLevel::kInfo, event, fields); }
  void warn(std::string_view event, std::initializer_list<Field> fields = {}) { write(LogLevel::kWarn, event, fields); }
  void error(std::string_view event, std::initializer_list<Field> fields = {}) {
    write(LogLevel::kError, event, fields);
  }
  void write(LogLevel level, std::string_view event, std::initializer_list<Field> fields);

  /// Somebody else's words as a line of ours, whatever the level: `fields`, then `text` under the key `line`, as much
  /// of it as one line holds, cut between characters, with partial=true where more is to come. Gives the bytes of
  /// `text` that were written: at least one where there is one.
  std::size_t write_text(std::string_view event, std::initializer_list<Field> fields, std::string_view text,
                         bool partial);

  /// Nobody: nullptr. What the tap logs itself does not come to it.
  void set_tap(Tap tap, void* context) {
    tap_ = tap;
    tap_context_ = context;
  }

  [[nodiscard]] bool enabled(LogLevel level) const { return level >= level_; }

 private:
  LogLevel level_;
  LogFormat format_;
  Sink sink_;
  void* context_;
  WallClock wall_clock_;
  Tap tap_ = nullptr;
  void* tap_context_ = nullptr;
};

}  // namespace shoal
