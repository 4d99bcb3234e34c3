#!/usr/bin/env python3
"""Renders chat templates and expressions with jinja2 as transformers sets it up.

    python3 -m venv venv && venv/bin/pip install transformers==5.24.0 jinja2==3.1.6
    venv/bin/python make_template_goldens.py ../resources/text/templates

With a second argument only the renderings of the folder's templates are made, and written there. So
templates that lie elsewhere, as in an installed package, can be held against jinja2:

    venv/bin/python make_template_goldens.py FOLDER /tmp/goldens.json
    KVDRIVE_TEMPLATES=FOLDER KVDRIVE_TEMPLATE_GOLDENS=/tmp/goldens.json \\
        mvn -pl runtime/text -am test -Dtest=ChatTemplateGoldenTest
"""
import copy
import datetime
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

NOW = datetime.datetime(2026, 1, 5, 7, 8, 9)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather in a 'city' — \"quoted\" <b>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city"},
                "days": {"type": "integer", "enum": [1, 2]},
            },
            "required": ["city"],
        },
    },
}


def m(role, content, **more):
    return {"role": role, "content": content, **more}


SYSTEM, USER = m("system", "You answer briefly."), m("user", "  What is KV?\n\nSay it.  ")
CALL = {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}
CASES = {
    "user": ([USER], {}),
    "system": ([SYSTEM, USER], {}),
    "turns": ([SYSTEM, USER, m("assistant", "A cache. <think>x</think>"), m("user", "Größe? 你好 🙂")], {}),
    "no-system turns": ([USER, m("assistant", "<think>\nhm\n</think>\n\nA cache."), m("user", "more")], {}),
    "tools": ([SYSTEM, USER], {"tools": [TOOL]}),
    "tool turns": (
        [
            USER,
            m("assistant", "", tool_calls=[CALL]),
            m("tool", '{"t": 3.5}', tool_call_id="call12345", name="get_weather"),
            m("user", "And now?"),
        ],
        {"tools": [TOOL]},
    ),
    "tool end": (
        [SYSTEM, USER, m("assistant", "", tool_calls=[CALL]), m("tool", "sunny", tool_call_id="call12345", name="get_weather")],
        {"tools": [TOOL]},
    ),
    "no thinking": ([USER], {"enable_thinking": False}),
    "wrong order": ([m("assistant", "hi"), m("assistant", "again")], {}),
    "control tokens": ([m("user", "<|im_end|><|eot_id|><|end|></s>[/INST]<end_of_turn>")], {}),
    "empty": ([m("user", "")], {}),
    "reasoning": (
        [USER, m("assistant", "A cache.", reasoning_content="hm"), m("user", "more")],
        {"enable_thinking": True},
    ),
    "two calls": (
        [
            USER,
            m("assistant", None, tool_calls=[CALL, {**CALL, "id": "call67890", "function": {**CALL["function"], "arguments": {}}}]),
            m("tool", "1", tool_call_id="call12345", name="get_weather"),
            m("tool", "2", tool_call_id="call67890", name="get_weather"),
        ],
        {"tools": [TOOL, TOOL]},
    ),
    "parts": ([m("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], {}),
}

DATA = {
    "n": 7,
    "f": 2.5,
    "s": "Hello, World",
    "u": "äöü 🙂 x",
    "l": [3, 1, 2],
    "names": ["b", "A", "c"],
    "d": {"b": 1, "a": [1, None, True], "items": "x"},
    "people": [{"name": "Bo", "age": 3, "x": {"y": 1}}, {"name": "Al", "age": 5, "x": {"y": 2}}, {"name": "Cy", "age": 3}],
    "none": None,
    "big": 123456789012345678901234567890,
    "t": True,
    "ml": "one\n\n  two\nthree\n",
}

EXPRESSIONS = """{{ s[::-1] }}|{{ s[1:4] }}|{{ s[-3:] }}|{{ s[0] }}|{{ u[4] }}|{{ u|length }}|{{ l[::-1] }}|{{ l[5:] }}|{{ s[10:2:-2] }}
{{ s.startswith('He') }} {{ s.startswith(('x','H')) }} {{ s.lstrip('He') }} {{ s.rstrip('dl') }} {{ s.split(', ') }} {{ s.split('l', 1)[1] }} {{ ' a b  c '.split() }} {{ 'a b c'.rsplit(' ', 1) }}
{{ s|upper }} {{ s|lower }} {{ 'foo bar-baz'|title }} {{ 'fOO'|capitalize }} {{ s.title() }} {{ s.swapcase() }} {{ '  x '|trim }}| {{ 'xxaxx'|trim('x') }}
{{ n / 2 }} {{ n // 2 }} {{ n % 4 }} {{ -n // 2 }} {{ -n % 4 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ n + f }} {{ 1e20 }} {{ 1e-7 }} {{ 0.1 + 0.2 }} {{ 100.0 }} {{ 1e16 }} {{ 7 / 1 }}
{{ l|sort }} {{ names|sort }} {{ names|sort(case_sensitive=true) }} {{ l|sort(reverse=true) }} {{ people|sort(attribute='age')|map(attribute='name')|list }} {{ people|map(attribute='x.y', default=0)|list }}
{{ people|selectattr('age', 'equalto', 3)|map(attribute='name')|join(', ') }} {{ people|rejectattr('x')|list|length }} {{ l|select('odd')|list }} {{ l|reject('gt', 2)|list }} {{ names|map('upper')|join }}
{{ d|tojson }} {{ d|tojson(indent=2) }} {{ people[0]|tojson(indent=4) }} {{ 'é"\\n</x>&'|tojson }} {{ none|tojson }} {{ [1.0, 2.5e-5, true]|tojson }} {{ {}|tojson(indent=2) }} {{ {'b':1,'a':2}|tojson(sort_keys=true) }}
{{ d.items()|list }} {{ d|items|list }} {{ d['items'] }} {{ d.get('zz', 4) }} {{ d.get('zz') }} {{ d.keys()|list }} {{ d.values()|list }} {{ d|dictsort }} {{ 'a' in d }} {{ 'z' not in d }} {{ d|length }}
{{ missing }}|{{ missing is defined }}|{{ missing|default('dd') }}|{{ none|default('x') }}|{{ none|default('x', true) }}|{{ missing|length }}|{{ d.nope is undefined }}|{{ none is none }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ 'a' == 'a' }} {{ [1, 2] == [1, 2] }} {{ t and 'yes' or 'no' }} {{ not t }} {{ none or 'z' }} {{ 'x' if n > 5 else 'y' }} {{ 'x' if n > 50 }}| {{ 1 in l }} {{ 'ell' in s }} {{ not 1 in l }}
{{ 'a' ~ 1 ~ none ~ 2.0 ~ true }} {{ 'ab' * 3 }} {{ [1] * 2 + [3] }} {{ 'x' 'y' }} {{ ('a', 'b') | length }} {{ '%s is %d or %.2f%%' % (s, n, f) }} {{ '{} and {1}'.format(1) if false else '{0}-{1}-{a}'.format(1, 'b', a=2) }} {{ '%s-%s'|format(1, 'z') }}
{% for x in l %}{{ loop.index }}/{{ loop.length }}{{ x }}{% if not loop.last %},{% endif %}{% else %}none{% endfor %} {% for x in [] %}a{% else %}empty{% endfor %} {% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for x in l if x > 1 %}{{ loop.index0 }}{{ x }} {% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %} {% for x in l %}{{ loop.previtem }}-{{ loop.nextitem }} {{ loop.cycle('a','b') }} {{ loop.revindex }} {{ loop.first }} {% endfor %} {{ range(3)|list }} {{ range(5, 1, -2)|list }}
{% set ns = namespace(x=1, found=false) %}{% for i in l %}{% set ns.x = ns.x + i %}{% set y = i %}{% endfor %}{{ ns.x }} {{ y is defined }} {% set a, b = 1, 2 %}{{ a + b }} {% set z %}block {{ n }}{% endset %}{{ z|upper }} {% set w | trim %}  pad {% endset %}[{{ w }}]
{% macro hi(name, greet='Hi') %}{{ greet }} {{ name }}{{ caller() if caller else '' }}!{% endmacro %}{{ hi('Bo') }} {{ hi(name='Al', greet='Yo') }} {% call hi('Cy') %} inner {{ n }}{% endcall %} {% macro deep(x) %}{% if x > 0 %}{{ x }}{{ deep(x - 1) }}{% endif %}{% endmacro %}{{ deep(4) }}
{% filter upper %}abc {{ s }}{% endfilter %} {% with q = 5, r = 6 %}{{ q + r }}{% endwith %}{{ q is defined }} {% raw %}{{ raw }} {% if %}{% endraw %} {# comment #}after {% for x in [[1,[2,3]],[4,[]]] recursive %}{{ x[0] if x is sequence else x }}{% endfor %}
{% if n is odd %}odd{% endif %} {{ n is divisibleby 7 }} {{ s is string }} {{ l is sequence }} {{ d is mapping }} {{ f is float }} {{ n is integer }} {{ n is number }} {{ t is boolean }} {{ t is true }} {{ l is iterable }} {{ n is eq 7 }} {{ n is not none }} {{ n is in [7] }} {{ s is lower }}
{{ ml|indent }}|{{ ml|indent(2, true) }}|{{ ml|indent(2, blank=true) }}|{{ ml.splitlines() }}|{{ 'a,b'.replace(',', ';') }}|{{ s|replace('l', 'L') }}|{{ 'aaa'.replace('a', 'b', 2) }}|{{ s.find('o') }}|{{ s.count('l') }}|{{ ', '.join(names) }}
{{ l|first }} {{ l|last }} {{ l|max }} {{ l|min }} {{ l|sum }} {{ people|sum(attribute='age') }} {{ l|reverse|list }} {{ 'abc'|reverse }} {{ [1,1,2]|unique|list }} {{ 'abc'|list }} {{ l|batch(2)|list }} {{ l|batch(2, 0)|list }} {{ people|groupby('age')|map('first')|list }} {{ 3.7|int }} {{ '42'|int }} {{ 'x'|int(9) }} {{ '1.5'|float }} {{ 2.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(0, 'ceil') }} {{ -3|abs }}
{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %a %j %p %I %y') }} {{ "it's" }} {{ ["it's", 'a"b', 'c\\n', none, true, 1.5] }} {{ {'k': 'v', 1: [2]} }} {{ 'a b&c/d'|urlencode }} {{ '<a>'|escape }} {{ 'one two three'|wordcount }} {{ 'x'|center(5) }}| {{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }}
{{ 'a.b'.partition('.') }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ '12'.isdigit() }} {{ 'a1'.isalpha() }} {{ '7'.zfill(3) }} {{ 'x'.ljust(3) }}| {{ s|attr('upper') is callable }} {{ (1, 2)[0] }} {{ d.a[2] }} {{ d['a'][-3] }} {{ people[0].x.y }} {{ people.0.name }}
{{ none|selectattr('a', 'equalto', 'x')|list|length }}{{ none|map('upper')|list }}{{ none|select|list }}{{ missing|reject|list }}{{ 0|rejectattr('a')|list }}{{ false|map(attribute='a')|list }} {{ people|selectattr('name', '==', 'Bo')|list|length }} {{ l|select('!=', 1)|list }} {{ l|select('<', 3)|list }} {{ l|select('>', 1)|list }} {{ l|select('<=', 1)|list }} {{ l|reject('>=', 3)|list }}
{{ u|tojson }} {{ u|tojson(ensure_ascii=True) }} {{ u|tojson(true) }} {{ u|tojson(2) }} {{ l|tojson(separators=(',', ':')) }} {{ {'é': 1}|tojson(ensure_ascii=true, indent=1) }} {{ '\\x7f'|tojson }} {{ l|tojson(indent=0) }}
{% if false %}{{ x|from_json }}{{ x is nothing }}{{ x|other(1)|map('y') }}{% include 'y' %}{% import 'z' as q %}{% endif %}ok {{ 'a' if true else (1|nope) }} {{ true or (1 is odd_one) }}
{{ "%05d" % 4 }} {{ "%(a)s-%(b)03d" % {"a": 1, "b": 2} }} {{ "%-5s|%5s|%.2s" % ("a", "b", "cde") }} {{ "%+d % d %x %X %#x %o %#o" % (3, 4, 255, 255, 255, 8, 8) }} {{ "%e %E %g %G %.3g %#.3g" % (1234.5, 0.00012, 0.00001, 1e20, 1234567.0, 1.0) }} {{ "%c%c %r %a" % (65, 'B', 'é', 'é') }} {{ "%*d|%-*d|%.*f" % (5, 1, 4, 2, 1, 2.55) }} {{ "%5.1f|%-8.2f|%08.3f|%+.1f" % (2.25, 3.14159, -2.5, 1.0) }} {{ "%d%%" % 5.9 }} {{ "%s" % [1, 2] }} {{ "%s" % none }} {{ "x" % {} }} {{ "%s" % ((1, 2),) }} {{ "%i %u" % (true, 7) }} {{ "%.3d" % 5 }}
{{ "{:.2f}".format(1.5) }} {{ "{:>5}|{:<5}|{:^5}|{:*^7}".format("a", "b", "c", "d") }} {{ "{:05d} {:+d} {: d} {:x} {:#x} {:o} {:b} {:#b} {:,} {:_} {:c}".format(42, 1, 1, 255, 255, 8, 5, 5, 1234567, 1234567, 65) }} {{ "{0!r} {0!s} {1!a}".format("x", "é") }} {{ "{a[b]} {c.x}".format(a={"b": 1}, c={"x": 2}) if false else "{a[0]}{a[1]}".format(a=[5, 6]) }} {{ "{:{}}|{:>{w}}".format("a", 4, "b", w=3) }} {{ "{:%} {:.1%} {:e} {:g} {:.3} {:n} {:10.3f}|{:<10,.2f}|".format(0.25, 0.123, 12345.678, 0.0001, 3.14159, 7, 2.71828, 12345.678) }} {{ "{{}} {}".format(1) }} {{ "{} {}".format([1, 'a'], {'k': none}) }} {{ "{:5}|{:5}|{:5}|{:<5}|".format(1, 1.5, "s", true) }} {{ "{:.3}".format("abcdef") }} {{ "{!s:>6}".format(1) }} {{ "{:=+5d}|{:05}|{:05.1f}".format(3, -3, -2.25) }} {{ "{:,.3f} {:_x} {:_b}".format(1234.5, 65535, 255) }} {{ "{:s} {:d}".format("a", true) }} {{ "{:}".format(2.0) }} {{ "{:g} {:g} {:.0f} {:#.0f}".format(1e10, 100000.0, 2.5, 2.0) }}
{% set j = joiner(",") %}{{ j() }}a{{ j() }}b {% set k = joiner() %}{{ k() }}{{ k() }} {% set c = cycler('x', 'y') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{% set _ = c.reset() %}{{ c.next() }} {{ l|slice(2)|list }} {{ range(7)|slice(3)|list }} {{ range(7)|slice(3, 'f')|list }} {{ d|pprint }} {{ l|pprint }} {{ 'abc'|pprint }} {{ 'aaa bbb ccc ddd'|wordwrap(7) }} {{ 'abcdefghij kl'|wordwrap(4) }} {{ 'abcdefghij kl'|wordwrap(4, false) }} {{ 'a b c'|wordwrap(3, wrapstring='/') }} {{ '<p>a  <b>b</b>&amp;&lt;</p><!-- x -->'|striptags }} {{ 1000|filesizeformat }} {{ 1|filesizeformat }} {{ 2048|filesizeformat(true) }} {{ 123456789|filesizeformat }} {{ '<x>'|forceescape }} {{ {'a': 1, 'b': none, 'c': '<'}|xmlattr }}
{{ (1,2)+(3,) }} {{ (1,2)*2 }} {{ (1,2,3)[1:] }} {{ (1,2,3)[::-1] }} {{ [1]+[2] }} {{ (1,)|list }} {{ () }} {{ (1,) }} {{ 2*[1] }} {{ 2*'ab' }} {{ (1,2) == [1,2] }} {{ [1,[2]] < [1,[3]] }}
{{ 12345678901234567890 }} {{ 12345678901234567890 + 1 }} {{ 2 ** 70 }} {{ -(2 ** 64) }} {{ 2 ** 64 // 3 }} {{ -(2 ** 64) // 3 }} {{ 2 ** 64 % 1000 }} {{ -(2 ** 64) % 7 }} {{ (2 ** 64) / 2 }} {{ big }} {{ big|tojson }} {{ {'n': big}|tojson }} {{ big + 1 }} {{ big == big }} {{ big > 5 }} {{ big is integer }} {{ big is number }} {{ big|string|length }} {{ [big, 1]|sort }} {{ '%d' % big }} {{ '%s %x' % (big, big) }} {{ '{:,}'.format(big) }} {{ '99999999999999999999'|int }} {{ big|abs }} {{ 9223372036854775807 + 1 }} {{ -9223372036854775807 - 2 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ '0x1F'|int(base=16) }} {{ '1e3'|int }} {{ 1e3|int }} {{ 'ff'|int(0, 16) }} {{ big * 1.0 }} {{ big|float }} {{ 7 * big - 7 * big }}
{{ 'abc' is filter }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ '==' is test }} {{ 3 is gt(2) }} {{ 3 is sameas 3 }} {{ none is sameas none }} {{ 'A' is upper }} {{ 1 is in([1]) }} {{ f is integer }} {{ t is number }} {{ t is integer }} {{ n is eq(7.0) }}
{{ 'b,a'.split(',')|sort|join }} {{ 'x'.join(['a', 'b']) }} {{ 'a\\tb'.expandtabs(4) }} {{ 'ß'.casefold() }} {{ 'abc'.find('c', 1) }} {{ 'abcabc'.index('b', 2) }} {{ 'aXbX'.rindex('X') }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.endswith('b', 0, 2) }} {{ 'a b'.istitle() }} {{ 'A B'.istitle() }} {{ 'abc'.isascii() }} {{ 'abcabc'.count('b', 2) }} {{ 'a-b'.rpartition('-') }} {{ '%s' % 'é' }} {{ (3).bit_length() if false else 'n' }}
{{ [1,2,3].index(2) }} {{ [1,1].count(1) }} {{ {'a': 1}.get('a') }} {{ dict(a=1, b=2) }} {{ dict([('a', 1)]) }} {{ {'a': 1}|length }} {{ {1: 'x'}[1] }} {{ {true: 'y'}[true] }} {{ [none, true]|string }} {{ {'a': {'b': 1}}|string }} {{ [[1]]|sum(start=[]) }} {{ people|map(attribute='name')|map('lower')|join('-') }} {{ people|groupby('age')|length }} {% for g in people|groupby('age') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}{{ [3,1]|min }} {{ ['b','A']|max }} {{ []|first is undefined }} {{ d|dictsort(by='value', reverse=true)|length if false else '' }} {{ [1,2,3,4]|batch(3)|map('first')|list }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}{% for i in [1] %}{% set x = 3 %}{% endfor %}{{ x }}{% with x = 9 %}{{ x }}{% endwith %}{{ x }}{% block b %}in {{ x }}{% endblock %}{% autoescape false %}<{{ '<' }}{% endautoescape %}
{{ 1.5|round }} {{ 2.5|round }} {{ 0.125|round(2) }} {{ 1234|round(-2) }} {{ 1.1|round(method='ceil') }} {{ 7|round }} {{ 3.999|int }} {{ '3.9'|int }} {{ -7 // 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 10 ** 3 }} {{ 2 ** 0.5 }} {{ 1/3 }} {{ 1e100 }} {{ 123456789.123 }} {{ 5 % -3 }} {{ true + 1 }} {{ 0.1 * 3 }}
{{ s[1:][:2] }} {{ s[-1] }} {{ l[-1:] }} {{ l[:-1] }} {{ u[::2] }} {{ 'ab'['upper']() if false else '' }} {{ d['b'] }} {{ d.b }} {{ people[0]['name'][0] }} {{ 'a' 'b' ~ 'c' }} {{ not none and 1 }} {{ 1 if 0 else 2 if 0 else 3 }} {{ 'x' in ['x'] and 'y' not in 'xz' }} {{ -1|abs }}"""

BLOCKS = [
    "  {% if true %}\n  a\n  {% endif %}\nb\n",
    "{%- if true -%}\n  a \n {%- endif +%}\n b",
    "x\n   {%+ if true %}y{% endif %}  \nz\n\n",
    "{{ 'a' }}\n{{ 'b' }}\n",
    "  {{- 'a' -}}  \n b {# c #}\n d  {#- e -#}  f",
    "a\n  {# c #}\nb",
    "{% raw -%}\n  x {{ y }}\n{%- endraw %}\n z",
    "\t{% for x in [1,2] %}\n\t- {{ x }}\n\t{% endfor %}\nend",
    "a\r\nb\r{% if true %}\r\nc{% endif %}",
    "{% generation %}gen {{ n }}{% endgeneration %}",
    "{% if false %}a{% elif n == 7 %}b{% else %}c{% endif %}{% if none %}x{% else %}y{% endif %}",
    "{{ {'a': {'b': [1, {'c': 2}]}}.a.b[1].c }}{{ '}}' }}{{ \"%}\" }}",
]


FAILURES = [
    "{{ 1|nothing }}",
    "{{ 1 is nothing }}",
    "{% if true %}{{ 1|nothing }}{% endif %}",
    "{{ l|map('nothing')|list }}",
    "{% for x in none %}{% endfor %}",
    "{{ n.startswith('a') }}",
    "{{ nothing() }}",
    "{{ missing.x }}",
    "{{ (1,) + [2] }}",
    "{{ 'a' + 1 }}",
    "{{ '%d' % 'a' }}",
    "{{ '%s %s' % (1,) }}",
    "{{ '%s' % (1, 2) }}",
    "{{ '%(a)s' % 1 }}",
    "{{ '{} {}'.format(1) }}",
    "{{ '{:d}'.format('a') }}",
    "{{ '{:d}'.format(1.5) }}",
    "{{ '{a}'.format(1) }}",
    "{{ 1 < 'a' }}",
    "{{ [1, 'a']|sort }}",
    "{{ 'abc'.index('x') }}",
    "{{ {}.nothing.more }}",
    "{% include 'other' %}",
    "{{ cycler() }}",
    "{{ 1 // 0 }}",
]


def render(source, **variables):
    try:
        return {"text": chat_template_utils._compile_jinja_template(source).render(**variables)}
    except Exception as e:  # Python's own errors are errors of the template, too.
        return {"error": f"{type(e).__name__}: {e}"}


def templates(folder):
    cases = []
    for file in sorted(folder.glob("*.jinja")):
        source = file.read_text(encoding="utf-8")
        for name, (messages, extra) in CASES.items():
            for prompt in (True, False):
                variables = {"tools": None, "documents": None, **extra, **TOKENS}
                # Templates may change what they are given: each rendering has its own.
                result = render(source, messages=copy.deepcopy(messages), add_generation_prompt=prompt, **copy.deepcopy(variables))
                cases.append(
                    {"template": file.name, "case": name, "messages": messages, "extra": extra, "prompt": prompt, **result}
                )
    return {"now": NOW.isoformat(), "tokens": TOKENS, "cases": cases}


def main():
    folder = pathlib.Path(sys.argv[1])
    if len(sys.argv) > 2:
        write(pathlib.Path(sys.argv[2]), templates(folder))
        return
    write(folder / "goldens.json", templates(folder))
    cases = [{"source": s, **render(s, **DATA)} for s in EXPRESSIONS.split("\n") + BLOCKS]
    for case in cases:
        assert "text" in case, case
    cases += [{"source": s, **render(s, **DATA)} for s in FAILURES]
    for case in cases[-len(FAILURES) :]:
        assert "error" in case, case
    write(folder / "expressions.json", {"now": NOW.isoformat(), "data": DATA, "cases": cases})


def write(path, data):
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
