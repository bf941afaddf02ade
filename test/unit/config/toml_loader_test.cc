#include "config/toml_loader.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal::config;

namespace {

struct Read {
  std::vector<Given> given;
  std::vector<Problem> problems;
};

Read read(std::string_view text) {
  Read out;
  load_toml("shoal.toml", text, out.given, out.problems);
  return out;
}

/// The one problem of a file.
std::string problem(std::string_view text) {
  const Read out = read(text);
  REQUIRE(out.problems.size() == 1);
  return out.problems[0].text;
}

}  // namespace

TEST_CASE("values arrive as words with their line") {
  const Read out = read(
      "role = 'task'\n"
      "[gossip]\n"
      "join = [\n  'a',\n  'b',\n]\n"
      "[gossip.timing]\nprobe_interval = '1s'\n"
      "[task]\nweight = 7\n"
      "[node]\ntags = { zone = 'a' }\n");
  CHECK(out.problems.empty());
  REQUIRE(out.given.size() == 5);
  for (const Given& given : out.given) {
    CAPTURE(given.setting->key);
    if (given.setting->key == "gossip.join") CHECK(given.words == Words{"a", "b"});
    if (given.setting->key == "gossip.join") CHECK(to_text(given.origin) == "shoal.toml:3");
    if (given.setting->key == "task.weight") CHECK(given.words == Words{"7"});
    if (given.setting->key == "task.weight") CHECK(to_text(given.origin) == "shoal.toml:10");
    if (given.setting->key == "node.tags") CHECK(given.words == Words{"zone=a"});
    if (given.setting->key == "gossip.timing.probe_interval") CHECK(to_text(given.origin) == "shoal.toml:8");
  }
}

TEST_CASE("dotted keys, tables and inline tables say the same") {
  for (const char* text : {"gossip.timing.probe_interval = '2s'", "gossip = { timing = { probe_interval = '2s' } }",
                           "[gossip]\ntiming.probe_interval = '2s'"}) {
    CAPTURE(text);
    const Read out = read(text);
    CHECK(out.problems.empty());
    REQUIRE(out.given.size() == 1);
    CHECK(out.given[0].setting->key == "gossip.timing.probe_interval");
  }
}

TEST_CASE("options for a pool carry the pool's name, dots included") {
  const Read out = read("[haproxy.pool.\"web.v2\"]\nserver_options = 'check'\n");
  CHECK(out.problems.empty());
  REQUIRE(out.given.size() == 1);
  CHECK(out.given[0].pool == "web.v2");
  CHECK(out.given[0].words == Words{"check"});
  CHECK(problem("[haproxy.pool.web]\nserver_optons = 'check'\n") ==
        "shoal.toml:2: haproxy.pool.\"web\".server_optons: there is no such setting; did you mean server_options?");
  CHECK(problem("haproxy.pool = 3\n").find("a table for each pool") != std::string::npos);
  CHECK(problem("haproxy.pool.web = 3\n").find("expected a table") != std::string::npos);
}

TEST_CASE("an unknown key is named with its line and the nearest known one") {
  CHECK(problem("[gossip]\n\njion = ['a']\n") ==
        "shoal.toml:3: gossip.jion: there is no such setting; did you mean gossip.join?");
  CHECK(problem("weight = 5\n") == "shoal.toml:1: weight: there is no such setting; did you mean task.weight?");
  CHECK(problem("[task]\nzzzzzzzzzz = 5\n") == "shoal.toml:2: task.zzzzzzzzzz: there is no such setting");
  CHECK(problem("gossip = 3\n").find("there is no such setting") != std::string::npos);
}

TEST_CASE("a mistyped section is one error, not one for each key in it") {
  CHECK(problem("[gosip]\njoin = ['a']\nprofile = 'lan'\n") ==
        "shoal.toml:1: [gosip]: there is no such section; did you mean gossip?");
  CHECK(problem("[gossip.timings]\nx = 1\n").find("did you mean gossip.timing?") != std::string::npos);
}

TEST_CASE("one text is a list of one") {
  const Read out = read("[haproxy]\nsocket = '/run/haproxy.sock'\n");
  CHECK(out.problems.empty());
  REQUIRE(out.given.size() == 1);
  CHECK(out.given[0].words == Words{"/run/haproxy.sock"});
}

TEST_CASE("a wrong type names key, value, line, what is expected, and an example") {
  CHECK(problem("[task]\nweight = '100'\n") ==
        "shoal.toml:2: task.weight = \"100\": expected a whole number without quotes, found a text, such as weight = "
        "100");
  CHECK(problem("[task]\ndrain_timeout = 30\n") ==
        "shoal.toml:2: task.drain_timeout = 30: expected a duration in quotes, found a whole number, such as "
        "drain_timeout = \"30s\"");
  CHECK(problem("[gossip]\njoin = 3\n")
            .find("expected a text or a list of texts, found a whole number, such as join = [") != std::string::npos);
  CHECK(problem("[gossip]\njoin = ['a', 3]\n").find("found a whole number in it") != std::string::npos);
  CHECK(problem("[gossip]\nprofile = true\n").find("gossip.profile = true: expected") != std::string::npos);
  CHECK(problem("[node]\ntags = ['a=b']\n").find("expected a table of texts, found a list") != std::string::npos);
  CHECK(problem("[node]\ntags = { a = 1 }\n").find("found a whole number in it") != std::string::npos);
  CHECK(problem("[node]\ntags = { 'a=b' = 'c' }\n").find("cannot have a =") != std::string::npos);
  CHECK(problem("[task]\nweight = 1.5\n").find("a number with a fraction") != std::string::npos);
  CHECK(problem("[task]\nlisten = 2020-01-01\n").find("a date or a time") != std::string::npos);
  CHECK(problem("[worker]\ncommand = './server'\n").find("the program first") != std::string::npos);
  CHECK(problem("[task.weight]\nx = 1\n").find("found a table") != std::string::npos);
}

TEST_CASE("a secret of the wrong type is refused without being shown") {
  const std::string text = problem("[gossip]\nkey = 20220613\n");
  CHECK(text.find("gossip.key: expected a text in quotes") != std::string::npos);
  CHECK(text.find("20220613") == std::string::npos);
}

TEST_CASE("a setting of a later version is refused without showing its value") {
  const std::string key = problem("[etcd]\npassword = 'c2VjcmV0'\n");
  CHECK(key.find("etcd: this setting is not in this version") != std::string::npos);
  CHECK(key.find("c2VjcmV0") == std::string::npos);
  CHECK(problem("[etcd]\nendpoints = ['x']\nprefix = '/x'\n").find("etcd: this setting is not in this version") !=
        std::string::npos);
  CHECK(problem("http.bind = ':80'\n").find("http.bind") != std::string::npos);
  CHECK(problem("[haproxy]\nmode = 'reload'\n").find("haproxy.mode") != std::string::npos);
}

TEST_CASE("all errors are reported, in the order of the file") {
  const Read out = read("[task]\nweight = 'x'\n[gossip]\nbad = 1\nkey = 5\n");
  REQUIRE(out.problems.size() == 3);
  CHECK(out.problems[0].place == "shoal.toml:2");
  CHECK(out.problems[1].place == "shoal.toml:4");
  CHECK(out.problems[2].place == "shoal.toml:5");
}

TEST_CASE("a syntax error names its line and gives no values") {
  const Read out = read("role = 'task'\n\n[gossip\n");
  REQUIRE(out.problems.size() == 1);
  CHECK(out.problems[0].place == "shoal.toml:3");
  CHECK(out.given.empty());
  CHECK(problem("role = 'task'\nrole = 'task'\n").find("shoal.toml:2: ") == 0);
}

TEST_CASE("what the parser cannot bear is refused before it: NUL, U+FEFF, huge files, endless dots") {
  CHECK(problem(std::string_view("a = 1\n  [\0", 10)).find("shoal.toml:2: there is a NUL byte") == 0);
  CHECK(problem("a = 1\n\n1\xef\xbb\xbf").find("shoal.toml:3: there is the invisible character U+FEFF") == 0);
  CHECK(problem("\xef\xbb\xbfrole = 'task'\n").find("shoal.toml:1: ") == 0);
  CHECK(problem(std::string(kFileBytesMax + 1, '#')).find("has 1048577 bytes") != std::string::npos);
  CHECK(read(std::string(kFileBytesMax, '#')).problems.empty());
  std::string dots = "\na";
  for (int i = 0; i < 5000; ++i) dots += ".a";
  CHECK(problem(dots + " = 1\n").find("shoal.toml:2: there is a line with over 4096 dots") == 0);
  std::string deep = "a";
  for (int i = 0; i < 4096; ++i) deep += ".a";
  CHECK(problem(deep + " = 1\n").find("there is no such section") != std::string::npos);
  CHECK(problem("a = " + std::string(100'000, '[')).find("shoal.toml:1: ") == 0);
}

TEST_CASE("letters of any alphabet outside quotes are an ordinary error with its line") {
  // The sanitizers watch here: toml++ promises its compiler that some of these cannot come.
  for (const char* letter :
       {"\xc2\xa1", "\xc3\xbc", "\xd0\x96", "\xe2\xb1\xb0", "\xe3\x80\x81", "\xef\xb0\x80", "\xf0\x9f\x98\x80"}) {
    CAPTURE(letter);
    for (const std::string& text : {std::string("\nkey = ") + letter + "\n", std::string("\n") + letter + "\n",
                                    std::string("\n[") + letter + "\n", std::string("\nx = 1") + letter + "\n",
                                    std::string("\nx = [1, ") + letter + "\n"}) {
      CHECK(problem(text).find("shoal.toml:2: ") == 0);
    }
  }
}

TEST_CASE("an empty file sets nothing") {
  const Read out = read("");
  CHECK(out.problems.empty());
  CHECK(out.given.empty());
}
