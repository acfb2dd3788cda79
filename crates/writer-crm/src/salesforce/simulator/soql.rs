//! The part of SOQL the double understands: SELECT, FROM, WHERE, ORDER BY, LIMIT and OFFSET on one object and its parents.

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Text(String),
    /// A number, a boolean, a date or a moment, as it was written.
    Bare(String),
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Is { field: String, operator: String, value: Literal },
    In { field: String, not: bool, values: Vec<Literal> },
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    /// Fields, `Account.Name` for a parent's; none for `COUNT()`.
    pub(super) fields: Vec<String>,
    pub(super) object: String,
    pub(super) condition: Option<Condition>,
    /// Fields to sort by, and whether downwards.
    pub(super) order: Vec<(String, bool)>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

type Parsed<T> = Result<T, String>;

/// Reads a query; the error is a sentence.
pub(super) fn parse(text: &str) -> Parsed<Query> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    let query = reader.query()?;
    match reader.tokens.get(reader.at) {
        None => Ok(query),
        Some(token) => Err(format!("unexpected token: {token:?}")),
    }
}

fn tokens(text: &str) -> Parsed<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' => tokens.push(Token::Text(quoted(&mut rest)?)),
            ',' | '(' | ')' => tokens.push(Token::Sign(c.to_string())),
            '=' => tokens.push(Token::Sign("=".to_owned())),
            '!' | '<' | '>' => {
                let mut sign = c.to_string();
                if rest.peek() == Some(&'=') {
                    sign.extend(rest.next());
                }
                tokens.push(Token::Sign(sign));
            }
            c if c.is_ascii_alphanumeric() || "-_.+".contains(c) => {
                let mut word = c.to_string();
                while let Some(next) =
                    rest.peek().filter(|c| c.is_ascii_alphanumeric() || "-_.:+".contains(**c))
                {
                    word.push(*next);
                    rest.next();
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(format!("unexpected character: {other:?}")),
        }
    }
    Ok(tokens)
}

fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Parsed<String> {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '\'' => return Ok(text),
            '\\' => text.push(match rest.next() {
                Some('n' | 'N') => '\n',
                Some('r' | 'R') => '\r',
                Some('t' | 'T') => '\t',
                Some(c @ ('\'' | '"' | '\\' | '_' | '%')) => c,
                _ => return Err("invalid escape in a string literal".to_owned()),
            }),
            // A line break in a literal is no SOQL.
            '\n' | '\r' => return Err("line breaks not allowed in string literals".to_owned()),
            c => text.push(c),
        }
    }
    Err("missing closing quote".to_owned())
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Parsed<Token> {
        let token = self.tokens.get(self.at).cloned().ok_or("unexpected end of the query")?;
        self.at += 1;
        Ok(token)
    }

    /// Takes the word, if it comes next.
    fn word(&mut self, word: &str) -> bool {
        let here = matches!(self.tokens.get(self.at), Some(Token::Word(known)) if known.eq_ignore_ascii_case(word));
        self.at += usize::from(here);
        here
    }

    fn sign(&mut self, sign: &str) -> bool {
        let here = matches!(self.tokens.get(self.at), Some(Token::Sign(known)) if known == sign);
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { Err(format!("expecting {sign}")) }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.next()? {
            Token::Word(name) => Ok(name),
            other => Err(format!("expecting a name, found {other:?}")),
        }
    }

    fn number(&mut self) -> Parsed<usize> {
        self.name()?.parse().map_err(|_| "expecting a number".to_owned())
    }

    fn query(&mut self) -> Parsed<Query> {
        if !self.word("select") {
            return Err("expecting SELECT".to_owned());
        }
        let mut fields = Vec::new();
        if self.word("count") {
            self.expect("(")?;
            self.expect(")")?;
        } else {
            fields.push(self.name()?);
            while self.sign(",") {
                fields.push(self.name()?);
            }
        }
        if !self.word("from") {
            return Err("expecting FROM".to_owned());
        }
        let object = self.name()?;
        let condition = if self.word("where") { Some(self.either()?) } else { None };
        let mut order = Vec::new();
        if self.word("order") {
            if !self.word("by") {
                return Err("expecting BY".to_owned());
            }
            loop {
                let field = self.name()?;
                let down = self.word("desc");
                if !down {
                    self.word("asc");
                }
                order.push((field, down));
                if !self.sign(",") {
                    break;
                }
            }
        }
        let limit = if self.word("limit") { Some(self.number()?) } else { None };
        let offset = if self.word("offset") { self.number()? } else { 0 };
        Ok(Query { fields, object, condition, order, limit, offset })
    }

    fn either(&mut self) -> Parsed<Condition> {
        let mut parts = vec![self.both()?];
        while self.word("or") {
            parts.push(self.both()?);
        }
        Ok(one_or(parts, Condition::Or))
    }

    fn both(&mut self) -> Parsed<Condition> {
        let mut parts = vec![self.one()?];
        while self.word("and") {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Condition::And))
    }

    fn one(&mut self) -> Parsed<Condition> {
        if self.word("not") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inner = self.either()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let field = self.name()?;
        let not = self.word("not");
        if self.word("in") {
            self.expect("(")?;
            let mut values = vec![self.literal()?];
            while self.sign(",") {
                values.push(self.literal()?);
            }
            self.expect(")")?;
            return Ok(Condition::In { field, not, values });
        }
        let operator = match self.next()? {
            Token::Sign(sign) if matches!(sign.as_str(), "=" | "!=" | "<" | "<=" | ">" | ">=") => {
                sign
            }
            Token::Word(word) if word.eq_ignore_ascii_case("like") => "like".to_owned(),
            other => return Err(format!("expecting an operator, found {other:?}")),
        };
        Ok(Condition::Is { field, operator, value: self.literal()? })
    }

    fn literal(&mut self) -> Parsed<Literal> {
        Ok(match self.next()? {
            Token::Text(text) => Literal::Text(text),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Literal::Null,
            Token::Word(word) => Literal::Bare(word),
            other @ Token::Sign(_) => return Err(format!("expecting a value, found {other:?}")),
        })
    }
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}
