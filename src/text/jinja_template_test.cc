// Templates as a whole. The expected texts are Jinja 3.1's, as transformers sets it up.
#include "text/jinja_template.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ponder::jinja {
namespace {

constexpr std::string_view kVariables =
    R"({"s":"Hello, Wörld","n":null,"t":true,"i":7,"x":2.5,"l":[3,1,2],"ls":["b","A","c"],)"
    R"("d":{"b":1,"a":{"k":[1,2]},"items":"shadow"},"m":[{"role":"user","content":"hi"},)"
    R"({"role":"assistant","content":"yo"}],"text":"one\n  two\r\n\nend\n"})";

Result<std::string> render(std::string_view source, const RenderOptions& options = {}) {
  Result<Template> made = Template::parse(source);
  if (!made.ok()) return made.status();
  return made->render(*Value::from_json(kVariables), options);
}

using Cases = std::vector<std::pair<std::string_view, std::string_view>>;

void expect_all(const Cases& cases) {
  for (const auto& [source, expected] : cases) {
    SCOPED_TRACE(source.substr(0, 200));
    const Result<std::string> text = render(source);
    ASSERT_TRUE(text.ok()) << text.status().message();
    EXPECT_EQ(*text, expected);
  }
}

// Expressions, one a pair: each is put between {{ and }}.
void expect_values(const Cases& cases) {
  for (const auto& [expression, expected] : cases) {
    const std::string source = "{{ " + std::string(expression) + " }}";
    expect_all({{source, expected}});
  }
}

TEST(JinjaTemplate, Whitespace) {
  expect_all({
      {"a\n", "a"},
      {"a\n\n", "a\n"},
      {"a\r\nb\rc", "a\nb\nc"},
      {"  {% if t %}\n  yes\n  {% endif %}\nend", "  yes\nend"},
      {"  {%- if t -%}\n  yes\n  {%- endif -%}\nend", "yesend"},
      {"  {%+ if t +%}\n  yes\n  {%+ endif +%}\nend", "  \n  yes\n  \nend"},
      {"x {% if t %}y{% endif %}", "x y"},
      {"  {{ i }}  \n  {{- i -}}  \n z", "  77z"},
      {"  {# c #}\nb {#- c -#} d", "bd"},
      {"{% raw %}\n {{ x }} {% y %}\n  {% endraw %}\nz", "\n {{ x }} {% y %}\nz"},
      {"{%- raw -%}  a {%- endraw -%}  z", "az"},
      {"{{ i }}\n  {% if t %}x{% endif %}", "7\nx"},
      {"{{ i -}}\n  {% if t %}x{% endif %}", "7x"},
  });
}

TEST(JinjaTemplate, Operators) {
  expect_values({
      {"-7 // 2", "-4"},
      {"-7 % 3", "2"},
      {"7 / 2", "3.5"},
      {"-7.5 // 2", "-4.0"},
      {"2 ** 10", "1024"},
      {"2 ** -1", "0.5"},
      {"-2 ** 2", "4"},
      {"true + 1", "2"},
      {"'a' * 3 ~ 1 ~ none", "aaa1None"},
      {"1 < 2 < 3", "True"},
      {"3 > 2 == true", "False"},
      {"1 == 1.0 == true", "True"},
      {"'ell' in s and 1 not in [2]", "True"},
      {"[1, 2] + [3]", "[1, 2, 3]"},
      {"[1, 2] < [1, 3]", "True"},
      {"n or 0 or 'last'", "last"},
      {"i if n", ""},
      {"1 if n else 2 if n else 3", "3"},
      {"not n is none", "False"},
      {"-1|abs", "1"},
      {"1,", "(1,)"},
  });
}

TEST(JinjaTemplate, SlicesCountCharacters) {
  expect_values({{"s[-3:]", "rld"},
                 {"s[8]", "ö"},
                 {"s[::-1]", "dlröW ,olleH"},
                 {"s|length", "12"},
                 {"l[::-1]", "[2, 1, 3]"},
                 {"l[5] is defined", "False"},
                 {"l[-1]", "2"},
                 {"range(10)[2:8:3]|list", "[2, 5]"},
                 {"s.find('r')", "9"},
                 {"s|upper", "HELLO, WÖRLD"}});
}

TEST(JinjaTemplate, KeysAndMethods) {
  expect_values({{"d.b", "1"},
                 {"d['items']", "shadow"},
                 {"d.items()|list|length", "3"},
                 {"d.get('zz', 5)", "5"},
                 {"d.a.k.1", "2"},
                 {"d.missing is defined", "False"},
                 {"d.missing", ""},
                 {"s['upper']()", "HELLO, WÖRLD"},
                 {"m[0].role", "user"},
                 {"{1: 'a', 1.0: 'b', true: 'c'}", "{1: 'c'}"}});
}

TEST(JinjaTemplate, TextMethods) {
  expect_values({
      {"'a,b,c'.split(',', 1)", "['a', 'b,c']"},
      {"'  a  b '.split()", "['a', 'b']"},
      {"'  a  b '.split(none, 1)", "['a', 'b ']"},
      {"' a b'.rsplit(' ', 1)", "[' a', 'b']"},
      {"'a=b=c'.partition('=')", "('a', '=', 'b=c')"},
      {"'xyaxy'.strip('yx')", "a"},
      {"'abc'.replace('', '-', 2)", "-a-bc"},
      {"s.startswith(('x', 'He'))", "True"},
      {"'abc'.startswith('', 4)", "False"},
      {"'-'.join(['a', 'b'])", "a-b"},
      {"'ab'.center(5, '*')", "**ab*"},
      {"'-42'.zfill(6)", "-00042"},
      {"'abc'.removeprefix('ab')", "c"},
      {"'one two-three'.title()", "One Two-Three"},
      {"'ß'.upper() ~ 'ΑΣ'.lower()", "SSας"},
      {"'1²'.isdigit() and 'ab'.islower()", "True"},
      {"text.splitlines()", "['one', '  two', '', 'end']"},
      {"'{0} {x!r:>5} {0[0]}'.format('ab', x='c')", "ab   'c' a"},
      {"'{:08.3f}|{:,}|{:#x}'.format(3.14159, 1234567, 255)", "0003.142|1,234,567|0xff"},
      {"'%5.1f|%-4s|%03d|%%' % (2.25, 'a', 7)", "  2.2|a   |007|%"},
      {"'%(a)s' % {'a': none}", "None"},
  });
}

TEST(JinjaTemplate, Filters) {
  expect_values({
      {"m|map(attribute='role')|join(', ')", "user, assistant"},
      {"m|selectattr('role', 'equalto', 'user')|map(attribute='content')|list", "['hi']"},
      {"m|rejectattr('role', 'eq', 'user')|list|length", "1"},
      {"l|select('gt', 1)|list ~ l|reject('odd')|list", "[3, 2][2]"},
      {"ls|sort ~ l|sort(reverse=true)", "['A', 'b', 'c'][3, 2, 1]"},
      {"['a', 'A', 'b']|unique|list", "['a', 'b']"},
      {"d|dictsort|map('first')|list", "['a', 'b', 'items']"},
      {"m|groupby('role')|map(attribute='grouper')|list", "['assistant', 'user']"},
      {"range(5)|batch(2, 'x')|list", "[[0, 1], [2, 3], [4, 'x']]"},
      {"l|sum ~ l|min ~ l|max ~ l|first ~ l|last", "61332"},
      {"'42.9'|int ~ ' 7 '|int ~ 'x'|int(5) ~ '0x1f'|int(base=16)", "427531"},
      {"2.5|round ~ 2.675|round(2) ~ 5|round ~ 2.1|round(method='ceil')", "2.02.6753.0"},
      {"'x<y>'|e|e ~ '&'|safe", "x&lt;y&gt;&"},
      {"('<a>'|safe) + '<b>'", "<a>&lt;b&gt;"},
      {"n|default('x') ~ n|default('x', true) ~ zz|default('y')", "Nonexy"},
      {"text|indent(2)|tojson", R"("one\n    two\n\n  end\n")"},
      {"'hello world foo bar'|truncate(11, leeway=0)", "hello..."},
      {"d|tojson(indent=1)",
       "{\n \"b\": 1,\n \"a\": {\n  \"k\": [\n   1,\n   2\n  ]\n },\n \"items\": \"shadow\"\n}"},
      {"m|map(attribute='role')|tojson", "[\"user\", \"assistant\"]"},
      {"'foo-bar (baz)'|title ~ 'ÀB'|capitalize", "Foo-Bar (Baz)Àb"},
  });
}

TEST(JinjaTemplate, Tests) {
  expect_values({{"zz is undefined and n is none and s is string", "True"},
                 {"true is number and true is not integer and 1 is integer", "True"},
                 {"d is mapping and d is sequence and l is not mapping", "True"},
                 {"d.items() is iterable and d.items() is not sequence", "True"},
                 {"5 is divisibleby 5 and 5 is odd and 5 is in [5]", "True"},
                 {"range is callable and s is not callable", "True"},
                 {"1 is sameas true or 1 is true", "False"}});
}

TEST(JinjaTemplate, Scopes) {
  expect_all({
      {"{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i + 10 %}{{ x }},{% endfor %}{{ x }}",
       "111,112,1"},
      {"{% if t %}{% set y = 5 %}{% endif %}{{ y }}", "5"},
      {"{% set ns = namespace(c=0) %}{% for v in l %}{% set ns.c = ns.c + v %}{% endfor %}{{ ns.c "
       "}}",
       "6"},
      {"{% set (a, b), c = (1, 2), 3 %}{{ a }}{{ b }}{{ c }}", "123"},
      {"{% set b | upper | replace('X', 'y') %}x{{ i }}{% endset %}[{{ b }}]", "[y7]"},
      {"{% with a=1, b=2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "3False"},
      {"{% generation %}{% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}", "1False"},
      {"{% filter indent(1, true) %}a\nb{% endfilter %}", " a\n b"},
      {"{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}", "5"},
  });
}

TEST(JinjaTemplate, Loops) {
  expect_all({
      {"{% for v in l if v > 1 %}{{ loop.index }}/{{ loop.length }}:{{ v }} {% else %}e{% endfor "
       "%}",
       "1/2:3 2/2:2 "},
      {"{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{{ loop.first }}{{ loop.last }}{% endfor "
       "%}",
       "a1TrueTrue"},
      {"{% for v in l %}{{ loop.previtem }}<{{ loop.nextitem }}{{ loop.cycle('x', 'y') }} {% "
       "endfor %}",
       "<1x 3<2y 1<x "},
      {"{% for v in zz %}a{% else %}none{% endfor %}", "none"},
      {"{% for v in l %}{% if v == 1 %}{% continue %}{% endif %}{{ v }}{% endfor %}", "32"},
      {"{% for v in l %}{% break %}{% else %}else{% endfor %}", "else"},
      {"{% for v in [1, [2, [3]]] recursive %}{% if v is iterable %}[{{ loop(v) }}]{% else %}"
       "{{ v }}d{{ loop.depth }}{% endif %}{% endfor %}",
       "1d1[2d2[3d3]]"},
      {"{% set g = l|map('string') %}{{ g|first }}{{ g|list }}{{ g|list }}", "3['1', '2'][]"},
      {"{% for v in [1, 1, 2] %}{{ loop.changed(v) }}{% endfor %}", "TrueFalseTrue"},
  });
}

TEST(JinjaTemplate, Macros) {
  expect_all({
      {"{% macro m(a, b=a) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}{{ m() }}",
       "1-1;1-2;-;"},
      {"{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}",
       "1(2,){'k': 3}"},
      {"{% macro m() %}[{{ caller(1) }}]{% endmacro %}{% call(a) m() %}{{ a }}{{ i }}{% endcall %}",
       "[17]"},
      {"{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
       "3210"},
      {"{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{% set c = cycler(1, 2) %}{{ c.next() }}"
       "{{ c.next() }}{{ c.next() }}",
       "a|b121"},
      {"{{ dict([('a', 1)], b=2) }}{{ namespace(a=1).a }}", "{'a': 1, 'b': 2}1"},
  });
}

TEST(JinjaTemplate, Time) {
  RenderOptions options;
  options.now = *LocalTime::parse("2025-01-20 12:34:56");
  EXPECT_EQ(*render("{{ strftime_now('%d %b %Y, %A %-d %j %H:%M:%S %p|%Z') }}", options),
            "20 Jan 2025, Monday 20 020 12:34:56 PM|");
  EXPECT_TRUE(LocalTime::parse("2025-01-20").ok());
  EXPECT_TRUE(LocalTime::parse("2025-01-20T01:02:03").ok());
  for (const char* wrong : {"", "2025", "2025-13-01", "2025-01-20 12", "2025-01-20 12:34:56Z",
                            "2025-01-20 12:34:61", "25-01-20 12:34:56"}) {
    EXPECT_FALSE(LocalTime::parse(wrong).ok()) << wrong;
  }
}

void expect_error(std::string_view source, std::string_view part, Code code = Code::kInvalid) {
  SCOPED_TRACE(source.substr(0, 200));
  const Result<std::string> text = render(source);
  ASSERT_FALSE(text.ok()) << *text;
  EXPECT_EQ(text.status().code(), code);
  EXPECT_NE(text.status().message().find(part), std::string::npos) << text.status().message();
}

TEST(JinjaTemplate, BrokenTemplatesNameThePlace) {
  expect_error("a\n {% if x %}", "line 2, column 5: the block \"if\" does not end");
  expect_error("{{ 1 2 }}", "line 1, column 6: expected `}}`, found \"2\"");
  expect_error("{{ (1] }}", "line 1, column 6: unexpected `]`, expected `)`");
  expect_error("{{ 'abc }}", "line 1, column 4: the string does not end");
  expect_error("{# abc", "line 1, column 1: the comment does not end");
  expect_error("{% frob %}", "line 1, column 4: unknown tag \"frob\"");
  expect_error("{% endfor %}", "unknown tag");
  expect_error("{% include 'x' %}", "line 1, column 4", Code::kUnsupported);
  expect_error("{% macro m() %}{% break %}{% endmacro %}", "outside of a loop");
  expect_error("{{ f(a=1, 2) }}", "out of order");
  expect_error("{{ '\\ud800' }}", "is no character");
  expect_error("\xff", "not UTF-8");
}

TEST(JinjaTemplate, RunningErrorsNameThePlace) {
  expect_error("{{ raise_exception('just this\nfor ' ~ i) }}", "just this\nfor 7");
  expect_error("a\n{{ zz.x }}", "line 2, column 6: 'zz' is undefined");
  expect_error("{{ d.zz.x }}", "'dict object' has no attribute 'zz'");
  expect_error("{{ 'a' + 1 }}", "line 1, column 4: `+` does not go with str and int");
  expect_error("{{ l.append(4) }}", "access to attribute 'append' of 'list' object is unsafe");
  expect_error("{{ s|frob }}", "there is no filter named \"frob\"");
  expect_error("{{ s is frob }}", "there is no test named \"frob\"");
  expect_error("{{ 1 // 0 }}", "division by zero");
  expect_error("{{ 9223372036854775807 + 1 }}", "beyond 64 bits");
  expect_error("{% set d.x = 1 %}", "only a namespace's attributes");
  expect_error("{% for a, b in [[1]] %}{% endfor %}", "2 names for 1 values");
  expect_error("{% macro m() %}{% endmacro %}{{ m(1) }}", "takes not more than 0 arguments");
  EXPECT_EQ(render("{{ raise_exception('just this') }}").status().message(), "just this");
}

TEST(JinjaTemplate, Limits) {
  const auto repeated = [](std::string_view part, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += part;
    return out;
  };
  expect_error("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "nested deeper",
               Code::kExhausted);
  expect_error("{{ " + repeated("not ", 5000) + "1 }}", "nested deeper", Code::kExhausted);
  expect_error("{{ x" + repeated(".a", 5000) + " }}", "nested deeper", Code::kExhausted);
  expect_error(repeated("{% if t %}", 5000), "nested deeper", Code::kExhausted);
  expect_error(repeated("{{1}}", 200'000), "parts", Code::kExhausted);
  expect_error(repeated("x", (1 << 20) + 1), "bytes", Code::kExhausted);
  EXPECT_EQ(*render("{{ 1" + repeated(" + 1", 20'000) + " }}"), "20001");
  expect_error("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls", Code::kExhausted);
  expect_error("{{ range(100001) }}", "range", Code::kExhausted);
  expect_error("{{ 'a' * 1000000000000 }}", "memory", Code::kExhausted);
  expect_error("{{ '%1000000000d' % 1 }}", "memory", Code::kExhausted);
  expect_error("{{ 'ab'.center(1000000000000000) }}", "memory", Code::kExhausted);
  expect_error("{{ [[1]]|tojson(indent=1000000000) }}", "memory", Code::kExhausted);
  expect_error("{{ ['a']|map(*(['map'] * 5000))|list }}", "nested deeper", Code::kExhausted);
  expect_error(
      "{% set ns = namespace(x=[1]) %}{% for i in range(200) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "values nested deeper", Code::kExhausted);
  RenderOptions options;
  options.limits.steps = 10'000;
  options.limits.output_bytes = 1000;
  const Status steps =
      render("{% for a in range(9999) %}{% for b in l %}{% endfor %}{% endfor %}", options)
          .status();
  EXPECT_EQ(steps.code(), Code::kExhausted);
  EXPECT_NE(steps.message().find("steps"), std::string::npos);
  const Status output =
      render("{% for a in range(99) %}{{ 'xxxxxxxxxxxxxxxxx' }}{% endfor %}", options).status();
  EXPECT_NE(output.message().find("limit of 1000 bytes"), std::string::npos) << output.message();
}

// A namespace may hold itself, and a macro its own scope: neither leaks nor recurses.
TEST(JinjaTemplate, Cycles) {
  EXPECT_EQ(*render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"),
            "True");
  EXPECT_TRUE(render("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns }}").ok());
  EXPECT_EQ(*render("{% set ns = namespace() %}{% for v in l %}{% macro m() %}{{ v }}{% endmacro %}"
                    "{% set ns.m = m %}{% endfor %}{{ ns.m() }}"),
            "2");
}

TEST(JinjaTemplate, RendersAgain) {
  const Result<Template> made = Template::parse("{% set g = l|map('string') %}{{ g|list }}");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(*made->render(*Value::from_json(kVariables)), "['3', '1', '2']");
  }
  EXPECT_FALSE(made->render(Value()).ok());
}

}  // namespace
}  // namespace ponder::jinja
