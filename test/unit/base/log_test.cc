#include "base/log.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/json.h"

namespace shoal {
namespace {

/// A log whose lines are kept.
struct Kept {
  explicit Kept(LogFormat format, LogLevel level = LogLevel::kDebug)
      : log(
            level, format,
            [](void* context, std::string_view line) { static_cast<Kept*>(context)->lines.emplace_back(line); }, this,
            [] { return std::int64_t{1767323045006}; }) {}
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  std::vector<std::string> lines;
  Log log;
};

const std::string kTime = "2026-01-02T03:04:05.006Z";

TEST_CASE("a line of text has time, level, event and fields") {
  Kept kept(LogFormat::kText);
  kept.log.info(
      "member failed",
      {{"node", "task-1"}, {"addr", "10.0.0.1:80"}, {"count", 3}, {"up", true}, {"took_ms", Duration(1500us)}});
  CHECK(kept.lines == std::vector<std::string>{
                          kTime + " info member failed node=task-1 addr=10.0.0.1:80 count=3 up=true took_ms=1\n"});
}

TEST_CASE("a line of JSON has the same") {
  Kept kept(LogFormat::kJson);
  kept.log.warn("member failed", {{"node", "task-1"}, {"count", -3}, {"up", false}, {"took_ms", Duration(2s)}});
  CHECK(kept.lines ==
        std::vector<std::string>{"{\"time\":\"" + kTime +
                                 "\",\"level\":\"warn\",\"event\":\"member failed\",\"node\":\"task-1\",\"count\":-3,"
                                 "\"up\":false,\"took_ms\":2000}\n"});
}

TEST_CASE("somebody else's line is one of ours, whatever the level and however odd its bytes") {
  Kept json(LogFormat::kJson, LogLevel::kError);
  CHECK(json.log.write_text("worker", {{"stream", "stdout"}, {"pid", 7}}, "a \"b\"\x1b[0m \xff", false) == 11);
  CHECK(json.lines[0] == "{\"time\":\"" + kTime +
                             "\",\"level\":\"info\",\"event\":\"worker\",\"stream\":\"stdout\",\"pid\":7,\"line\":"
                             "\"a \\\"b\\\"\\u001b[0m \\ufffd\"}\n");
  Kept text(LogFormat::kText);
  CHECK(text.log.write_text("worker", {{"pid", 7}}, "", true) == 0);
  CHECK(text.lines[0] == kTime + " info worker pid=7 line=\"\" partial=true\n");
}

TEST_CASE("a line that is longer than one of ours goes into several, cut between characters, none of it lost") {
  for (const char* const unit : {"x", "\xe2\x82\xac", "\x01", "\""}) {
    std::string long_line;
    while (long_line.size() < 20'000) long_line += unit;
    Kept kept(LogFormat::kJson);
    std::string_view rest = long_line;
    std::string together;
    while (!rest.empty()) {
      const std::size_t taken = kept.log.write_text("worker", {}, rest, false);
      REQUIRE(taken > 0);
      REQUIRE(taken % std::string_view(unit).size() == 0);
      rest.remove_prefix(taken);
      const std::string& line = kept.lines.back();
      CHECK(line.size() <= Log::kLineBytesMax);
      CHECK(test::Json::parse(line)["event"].text() == "worker");
      CHECK((line.find(",\"partial\":true}") != std::string::npos) == !rest.empty());
    }
    CHECK(kept.lines.size() < 60);
  }
}

TEST_CASE("what is below the level is not written") {
  Kept kept(LogFormat::kText, LogLevel::kWarn);
  kept.log.debug("a");
  kept.log.info("b");
  kept.log.warn("c");
  kept.log.error("d");
  REQUIRE(kept.lines.size() == 2);
  CHECK(kept.lines[0] == kTime + " warn c\n");
  CHECK(kept.lines[1] == kTime + " error d\n");
}

TEST_CASE("a tap hears every line, whatever the level and the form, but not its own") {
  Kept kept(LogFormat::kJson, LogLevel::kWarn);
  struct Heard {
    Log* log;
    std::vector<std::string> lines;
  } heard{&kept.log, {}};
  kept.log.set_tap(
      [](void* context, LogLevel level, std::string_view text) {
        auto* to = static_cast<Heard*>(context);
        to->lines.push_back(std::string(to_text(level)) + ": " + std::string(text));
        to->log->warn("of the tap's own");
      },
      &heard);
  kept.log.debug("member failed", {{"node", "task 1"}});
  CHECK(heard.lines == std::vector<std::string>{"debug: member failed node=\"task 1\""});
  CHECK(kept.lines.size() == 1);
  kept.log.set_tap(nullptr, nullptr);
  kept.log.error("not heard");
  CHECK(heard.lines.size() == 1);
}

TEST_CASE("text is quoted when it has anything in it that could be taken for the line's own") {
  Kept kept(LogFormat::kText);
  kept.log.info("x", {{"a", "plain-1.2_3/:[]"}, {"b", ""}, {"c", "two words"}, {"d", "k=v"}, {"e", "q\"b\\"}});
  CHECK(kept.lines[0] == kTime + " info x a=plain-1.2_3/:[] b=\"\" c=\"two words\" d=\"k=v\" e=\"q\\\"b\\\\\"\n");
}

/// Values that try to end the value, the field or the line, or to steer a terminal.
std::vector<std::string> hostile_values() {
  std::vector<std::string> out = {"a\nb",
                                  "a\r\n" + kTime + " error forged",
                                  "x\" admin=\"true",
                                  "\\",
                                  "\\\"",
                                  "},{\"a\":\"b",
                                  "\x1b[2J",
                                  "\x7f",
                                  "\xc2\x9b"
                                  "2J",
                                  "\xff\xfe",
                                  "\xc0\xaf",
                                  "\xed\xa0\x80",
                                  "\xf4\x90\x80\x80",
                                  "\xe2\x82",
                                  "gr\xc3\xbc\xc3\x9f",
                                  std::string("a\0b", 3)};
  for (int byte = 0; byte < 256; ++byte) out.push_back("<" + std::string(1, static_cast<char>(byte)) + ">");
  return out;
}

bool is_harmless(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if (byte == 0x7f || (byte < 0x20 && !(byte == '\n' && i + 1 == line.size()))) return false;
    if (byte == 0xc2 && static_cast<unsigned char>(line[i + 1]) < 0xa0) return false;
    if (byte == 0xff || byte == 0xc0 || byte == 0xed) return false;
  }
  return line.ends_with('\n');
}

TEST_CASE("no value can forge a second line or a second field, in text") {
  for (const std::string& value : hostile_values()) {
    Kept kept(LogFormat::kText);
    kept.log.info("x", {{"node", value}, {"after", 1}});
    REQUIRE(kept.lines.size() == 1);
    CAPTURE(kept.lines[0]);
    CHECK(is_harmless(kept.lines[0]));
    CHECK(kept.lines[0].starts_with(kTime + " info x node="));
    CHECK(kept.lines[0].ends_with(" after=1\n"));
    // Outside of quotes there are just the two fields.
    bool quoted = false;
    int fields = 0;
    for (std::size_t i = 0; i < kept.lines[0].size(); ++i) {
      if (quoted && kept.lines[0][i] == '\\') {
        ++i;
      } else if (kept.lines[0][i] == '"') {
        quoted = !quoted;
      } else if (!quoted && kept.lines[0][i] == '=') {
        ++fields;
      }
    }
    CHECK_FALSE(quoted);
    CHECK(fields == 2);
  }
}

TEST_CASE("no value can forge anything in JSON, and good text comes through as it was") {
  for (const std::string& value : hostile_values()) {
    Kept kept(LogFormat::kJson);
    kept.log.info("x", {{"node", value}, {"after", 1}});
    REQUIRE(kept.lines.size() == 1);
    CAPTURE(kept.lines[0]);
    CHECK(is_harmless(kept.lines[0]));
    const test::Json line = test::Json::parse(kept.lines[0]);
    CHECK(line.keys() == std::vector<std::string>{"time", "level", "event", "node", "after"});
    const auto last = static_cast<unsigned char>(value[1 % value.size()]);
    if (value.size() == 3 && last < 0x80) CHECK(line["node"].text() == value);
  }
  Kept kept(LogFormat::kJson);
  kept.log.info("x", {{"node", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f"}});
  CHECK(test::Json::parse(kept.lines[0])["node"].text() == "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f");
}

TEST_CASE("a value that is too long is cut and says so, and the fields behind it stay") {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    for (const std::string unit : {"x", "\n", "\"", "\xc3\xbc", "\xff", "= "}) {
      std::string value;
      while (value.size() < 10'000) value += unit;
      Kept kept(format);
      kept.log.info("x", {{"long", value}, {"after", 1}});
      REQUIRE(kept.lines.size() == 1);
      CAPTURE(unit);
      CHECK(kept.lines[0].size() <= Log::kLineBytesMax);
      CHECK(is_harmless(kept.lines[0]));
      if (format == LogFormat::kText) {
        CHECK(kept.lines[0].ends_with(unit == "x" ? "xxx... after=1\n" : "...\" after=1\n"));
      } else {
        const test::Json line = test::Json::parse(kept.lines[0]);
        CHECK(line["long"].text().ends_with("..."));
        CHECK(line["long"].text().size() > 150);
        CHECK(line["after"].whole() == 1);
      }
    }
  }
}

TEST_CASE("a line that is full ends behind a whole field and is valid, whatever the sizes") {
  for (std::size_t size = 0; size < 1100; ++size) {
    const std::string value(size, 'v');
    const std::string quotes(size / 2, '"');
    Kept kept(LogFormat::kJson);
    kept.log.info(
        "x", {{"a", value}, {"b", quotes}, {"c", value}, {"d", quotes}, {"e", value}, {"f", 123456789}, {"g", value}});
    REQUIRE(kept.lines.size() == 1);
    CHECK(kept.lines[0].size() <= Log::kLineBytesMax);
    const test::Json line = test::Json::parse(kept.lines[0]);
    CHECK(line.has("c"));
    Kept text(LogFormat::kText);
    text.log.info(
        "x", {{"a", value}, {"b", quotes}, {"c", value}, {"d", quotes}, {"e", value}, {"f", 123456789}, {"g", value}});
    CHECK(text.lines[0].size() <= Log::kLineBytesMax);
    CHECK(is_harmless(text.lines[0]));
  }
}

TEST_CASE("an event that is too long is cut as well") {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    Kept kept(format);
    kept.log.info(std::string(9'000, 'e'), {{"a", 1}});
    REQUIRE(kept.lines.size() == 1);
    CHECK(kept.lines[0].size() <= Log::kLineBytesMax);
    CHECK(kept.lines[0].find("...") != std::string::npos);
    if (format == LogFormat::kJson) CHECK(test::Json::parse(kept.lines[0])["a"].whole() == 1);
  }
}

}  // namespace
}  // namespace shoal
