#include "task/line_log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/utf8.h"

namespace shoal::task {
namespace {

struct Told {
  std::string text;
  bool partial;
  friend bool operator==(const Told& a, const Told& b) { return a.text == b.text && a.partial == b.partial; }
};

std::vector<Told> feed(LineSplitter& splitter, std::string_view text) {
  std::vector<Told> out;
  Bytes input = as_bytes(text);
  while (const auto piece = splitter.next(input)) out.push_back({std::string(piece->text), piece->partial});
  CHECK(input.empty());
  return out;
}

using Lines = std::vector<Told>;
constexpr Instant kStart = Instant{} + 100s;

TEST_CASE("lines come whole however the bytes arrive, and what is unfinished waits") {
  LineSplitter splitter(64);
  CHECK(feed(splitter, "one\ntwo\n\nthr") == Lines{{"one", false}, {"two", false}, {"", false}});
  CHECK(splitter.has_rest());
  CHECK(feed(splitter, "e").empty());
  CHECK(feed(splitter, "e\r\nfour\r") == Lines{{"three", false}});
  CHECK(feed(splitter, "\n") == Lines{{"four", false}});
  CHECK(!splitter.has_rest());
  CHECK(feed(splitter, "").empty());
}

TEST_CASE("a line longer than the memory comes in pieces, the last one without the mark") {
  LineSplitter splitter(4);
  CHECK(feed(splitter, "abcdefghij\nk\n") == Lines{{"abcd", true}, {"efgh", true}, {"ij", false}, {"k", false}});
  CHECK(feed(splitter, "abcd\n") == Lines{{"abcd", false}});  // It fits: no empty piece follows.
  CHECK(feed(splitter, "abcd").empty());
  CHECK(feed(splitter, "\n") == Lines{{"abcd", false}});
}

TEST_CASE("a piece ends between two characters") {
  LineSplitter splitter(4);
  CHECK(feed(splitter, "ab\xe2\x82\xac\xe2\x82\xac.\n") ==
        Lines{{"ab", true}, {"\xe2\x82\xac", true}, {"\xe2\x82\xac.", false}});
  CHECK(feed(splitter, "\xf0\x9f\x90\x9f\xf0\x9f\x90\x9f\n") ==
        Lines{{"\xf0\x9f\x90\x9f", true}, {"\xf0\x9f\x90\x9f", false}});
  CHECK(feed(splitter, "\x80\x80\x80\x80\x80\n") == Lines{{"\x80\x80\x80\x80", true}, {"\x80", false}});
  CHECK(feed(splitter, "\xff\xff\xff\xff\xff\n") == Lines{{"\xff\xff\xff", true}, {"\xff\xff", false}});
}

TEST_CASE("what is unfinished can be asked for, at the end or because nobody goes on") {
  LineSplitter splitter(16);
  CHECK(feed(splitter, "password: ").empty());
  const auto prompt = splitter.rest(false);
  REQUIRE(prompt.has_value());
  CHECK(prompt->text == "password: ");
  CHECK(prompt->partial);
  CHECK(!splitter.has_rest());
  CHECK(feed(splitter, "yes\nlast") == Lines{{"yes", false}});
  const auto last = splitter.rest(true);
  REQUIRE(last.has_value());
  CHECK(last->text == "last");
  CHECK(!last->partial);
  CHECK(!splitter.rest(true).has_value());
}

TEST_CASE("whatever the bytes and their portions, nothing is lost, added or cut inside a character") {
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    static constexpr const char* kUnits[] = {"a",    "\n",   "\r", "\r\n", "\xe2\x82\xac", "\xf0\x9f\x90\x9f",
                                             "\xff", "\x80", "bc"};
    std::string text;
    const std::size_t units = rng.below(60);
    for (std::size_t i = 0; i < units; ++i) text += kUnits[rng.below(std::size(kUnits))];
    LineSplitter splitter(4 + rng.below(12));
    std::string together;
    const auto take = [&](const LineSplitter::Piece& piece) {
      together += piece.text;
      if (!piece.partial) together += '\n';
    };
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t portion = std::min<std::size_t>(1 + rng.below(20), rest.size());
      Bytes input = as_bytes(rest.substr(0, portion));
      while (const auto piece = splitter.next(input)) take(*piece);
      rest.remove_prefix(portion);
    }
    if (const auto piece = splitter.rest(true)) take(*piece);
    // Carriage returns apart: one before a newline goes, unless the memory ended between the two.
    const auto plain = [](std::string lines) {
      lines.erase(std::remove(lines.begin(), lines.end(), '\r'), lines.end());
      return lines;
    };
    if (!text.empty() && text.back() != '\n') text += '\n';
    if (plain(together) != plain(text)) {
      CAPTURE(text);
      CHECK(plain(together) == plain(text));
    }
  }
}

TEST_CASE("the worker waits a tenth of the time at most, then its lines are dropped and counted") {
  LogPace pace({.wait_most = 100ms, .window = 1s, .report_every = 1s});
  Instant now = kStart;
  CHECK(pace.on_full(now));
  CHECK(pace.on_full(now + 99ms));
  CHECK_FALSE(pace.on_full(now + 100ms));
  pace.on_dropped(10);
  pace.on_room(now + 150ms);
  CHECK_FALSE(pace.on_full(now + 900ms));  // This second's share is used up.
  CHECK(pace.on_full(now + 1s));
  CHECK_FALSE(pace.on_full(now + 1100ms));
  pace.on_room(now + 1150ms);
  CHECK(pace.on_full(now + 2s));  // A new second, a new share.
  pace.on_room(now + 2060ms);
  CHECK(pace.on_full(now + 2500ms));
  CHECK_FALSE(pace.on_full(now + 2540ms));
}

TEST_CASE("what was dropped is reported once a second, with both figures") {
  LogPace pace({});
  CHECK_FALSE(pace.report(kStart).has_value());
  pace.on_dropped(10);
  pace.on_dropped(5);
  const auto first = pace.report(kStart);
  REQUIRE(first.has_value());
  CHECK(first->lines == 2);
  CHECK(first->bytes == 15);
  pace.on_dropped(1);
  CHECK_FALSE(pace.report(kStart + 999ms).has_value());
  const auto second = pace.report(kStart + 1s);
  REQUIRE(second.has_value());
  CHECK(second->lines == 1);
  CHECK(pace.dropped().lines == 3);
  CHECK_FALSE(pace.report(kStart + 10s).has_value());
}

}  // namespace
}  // namespace shoal::task
