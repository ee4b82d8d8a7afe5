package importer

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
)

// line is what a test says of a row: where it is, the fields named, and the
// code of its error.
type line struct {
	Line int64
	Got  string // fields, joined by |
	Raw  string
	Code ledger.Code
}

// readAll reads all rows of a file, at most limit bytes long, with those fields.
func readAll(r io.Reader, limit int, kind Kind, fields ...int) ([]line, error) {
	rows, _, err := open(r, limit, kind, nil)
	if err != nil {
		return nil, err
	}
	var lines []line
	for {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		} else if err != nil {
			return lines, err
		}
		l := line{Line: r.line, Raw: r.raw}
		if r.err != nil {
			var bad *ledger.Error
			if !errors.As(r.err, &bad) {
				return lines, r.err
			}
			l.Code = bad.Code
		} else {
			var got []string
			for _, f := range fields {
				got = append(got, r.values[f])
			}
			l.Got = strings.Join(got, "|")
		}
		lines = append(lines, l)
	}
}

func TestCSVRows(t *testing.T) {
	const limit = 40
	long := strings.Repeat("x", 100)
	for _, test := range []struct {
		name, in string
		want     []line
	}{
		{"plain", "id,name\n1,x\n2,y\n", []line{{2, "1|x", "1,x", ""}, {3, "2|y", "2,y", ""}}},
		{"no line end", "id,name\n1,x", []line{{2, "1|x", "1,x", ""}}},
		{"no line end after an empty field", "id,name\n1,", []line{{2, "1|", "1,", ""}}},
		{"CRLF", "id,name\r\n1,x\r\n\r\n2,\"y\"\r\n", []line{{2, "1|x", "1,x", ""}, {4, "2|y", `2,"y"`, ""}}},
		{"BOM", "\ufeffid,name\n1,x\n", []line{{2, "1|x", "1,x", ""}}},
		{"quoted BOM header", "\ufeff\"id\",\"name\"\n1,x\n", []line{{2, "1|x", "1,x", ""}}},
		{"blank lines", "\n \nid,name\n\n1,x\n  \n,\n2,y\n\n", []line{{5, "1|x", "1,x", ""}, {8, "2|y", "2,y", ""}}},
		{"quotes", "id,name\n1,\"a \"\"b\"\" c\"\n2,\"\"\"\"\n3,\"x,y\"\n4,a\"b\n", []line{
			{2, `1|a "b" c`, `1,"a ""b"" c"`, ""}, {3, `2|"`, `2,""""`, ""}, {4, "3|x,y", `3,"x,y"`, ""}, {5, `4|a"b`, `4,a"b`, ""}}},
		{"quoted line ends", "id,name\n1,\"a\nb\r\n\"\n2,y\n", []line{{2, "1|a\nb\r\n", "1,\"a\nb\r\n\"", ""}, {5, "2|y", "2,y", ""}}},
		{"space", "id , name\n 1 ,\tx y \n \" 2 \" , \"y \" \n", []line{{2, "1|x y", " 1 ,\tx y ", ""}, {3, " 2 |y ", ` " 2 " , "y " `, ""}}},
		{"semicolons", "id;name\n1;x,y\n", []line{{2, "1|x,y", "1;x,y", ""}}},
		{"tabs", "id\tname\n1\tx,y\n2\t\n", []line{{2, "1|x,y", "1\tx,y", ""}, {3, "2|", "2\t", ""}}},
		{"ragged", "id,name\n1\n2,y\n3,x,z\n4,y\n", []line{{2, "", "1", codeRagged}, {3, "2|y", "2,y", ""}, {4, "", "3,x,z", codeRagged}, {5, "4|y", "4,y", ""}}},
		{"text after a quote", "id,name\n1,\"x\" y\n2,y\n", []line{{2, "", `1,"x" y`, codeQuote}, {3, "2|y", "2,y", ""}}},
		{"a stray quote takes no other row along", "id,name\n1,\"x\n2,y\n3,\"z\"\n", []line{
			{2, "", `1,"x`, codeQuote}, {3, "2|y", "2,y", ""}, {4, "3|z", `3,"z"`, ""}}},
		{"a stray quote to the end", "id,name\n1,\"x\n2,y\n3,z\n", []line{
			{2, "", `1,"x`, codeQuote}, {3, "2|y", "2,y", ""}, {4, "3|z", "3,z", ""}}},
		{"a quoted field that is too long", "id,name\n1,\"" + strings.Repeat("x\n", 50) + "\"\n", append(
			append([]line{{2, "", `1,"x`, codeQuote}}, repeated(line{3, "", "x", codeRagged}, 49)...), line{52, "", `"`, codeQuote})},
		{"too long", "id,name\n1," + long + "\n2,y\n", []line{
			{2, "", "1," + long[:40] + " … (shortened: the line has 103 bytes with its end)", codeLong}, {3, "2|y", "2,y", ""}}},
		{"too long at the end", "id,name\n1,y\n2," + long, []line{
			{2, "1|y", "1,y", ""}, {3, "", "2," + long[:40] + " … (shortened: the line has 102 bytes with its end)", codeLong}}},
		{"just not too long", "id,name\n1," + long[:38] + "\r\n2," + long[:38], []line{
			{2, "1|" + long[:38], "1," + long[:38], ""}, {3, "2|" + long[:38], "2," + long[:38], ""}}},
		{"not text", "id,name\n1,\xff\x00\n", []line{{2, "1|\xff\x00", "1,\xff\x00", ""}}},
		{"a header alone", "id,name\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, slow := range []bool{false, true} {
				var r io.Reader = strings.NewReader(test.in)
				if slow {
					r = iotest.OneByteReader(r)
				}
				got, err := readAll(r, limit, NFTs, nftID, nftName)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// repeated returns n rows that differ in their line numbers only.
func repeated(first line, n int) []line {
	lines := make([]line, n)
	for i := range lines {
		lines[i] = first
		lines[i].Line += int64(i)
	}
	return lines
}

func TestJSONLRows(t *testing.T) {
	const limit = 60
	long := strings.Repeat("x", 100)
	for _, test := range []struct {
		name, in string
		want     []line
	}{
		{"plain", `{"id":"1","name":"x"}` + "\r\n\n" + `{"name":"é","id":2}`, []line{
			{1, "1|x", `{"id":"1","name":"x"}`, ""}, {3, "2|é", `{"name":"é","id":2}`, ""}}},
		{"kinds of values", `{"id":1e3,"name":true,"collection":null,"x":{"y":[]}}`, []line{{1, "1e3|true", `{"id":1e3,"name":true,"collection":null,"x":{"y":[]}}`, ""}}},
		{"object for a field", `{"id":"1","name":""}` + "\n" + `{"id":"1","name":{}}`, []line{{1, "1|", `{"id":"1","name":""}`, ""}, {2, "", `{"id":"1","name":{}}`, codeJSON}}},
		{"broken", `{"id":"1","name":""}` + "\n{\"id\":\n7\nnull\n[1]", []line{
			{1, "1|", `{"id":"1","name":""}`, ""}, {2, "", `{"id":`, codeJSON}, {3, "", "7", codeJSON}, {4, "", "null", codeJSON}, {5, "", "[1]", codeJSON}}},
		{"not text", `{"id":"1","name":""}` + "\n{\"id\":\"\xff\"}\n" + `{"id":"\ud800"}` + "\n" + `{"id":"\ufffd"}`, []line{
			{1, "1|", `{"id":"1","name":""}`, ""}, {2, "", "{\"id\":\"\xff\"}", ledger.CodeText}, {3, "", `{"id":"\ud800"}`, codeJSON}, {4, "\ufffd|", `{"id":"\ufffd"}`, ""}}},
		{"too long", `{"id":"1","name":""}` + "\n{\"id\":\"" + long + "\"}\n" + `{"id":"2"}`, []line{
			{1, "1|", `{"id":"1","name":""}`, ""}, {2, "", "{\"id\":\"" + long[:55] + " … (shortened: the line has 110 bytes with its end)", codeLong}, {3, "2|", `{"id":"2"}`, ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readAll(strings.NewReader(test.in), limit, NFTs, nftID, nftName)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		name, in string
		mapping  map[string]string
		kind     Kind   // found
		err      string // part of it
	}{
		{name: "berlin", in: "vote_id,voter_id,left_id,right_id,result,winner_id,loser_id,created_at\n", kind: Votes},
		{name: "an export of votes", in: "number,key,voter,kind,a,b,outcome,super,value,cast_at,received_at,weight\n", kind: Votes},
		{name: "an export of NFTs", in: "id,name,collection,image_url,collection_active\n", kind: NFTs},
		{name: "the game's votes", in: "id,user_id,vote_type_v2,nft_a_id,nft_b_id,winner_id,slider_value,engagement_data,created_at\n", kind: Votes},
		{name: "the game's NFTs", in: "id,token_id,name,collection_name,contract_address,image,traits,total_votes\n", kind: NFTs},
		{name: "winner and loser", in: "User ID;Winner;Loser\n", kind: Votes},
		{name: "ratings", in: "user,image-id,Rating\n", kind: Votes},
		{name: "gzip", in: zipped("id,name\n"), kind: NFTs},
		{name: "JSONL", in: ` {"voter":"v","nft":"n","value":3}`, kind: Votes},
		{name: "JSONL, keys of several lines", in: `{"voter":"v","nft":"n","kind":"fire"}` + "\n" + `{"voter":"v","a":"n","b":"m","outcome":"tie"}`, kind: Votes},
		{name: "mapped", in: "who,one,two,best\n", mapping: map[string]string{"voter": "who", "a": "one", "b": "Two", "winner": "best"}, kind: Votes},
		{name: "mapped past a synonym", in: "voter,address,winner,loser\n", mapping: map[string]string{"voter": "address"}, kind: Votes},

		{name: "empty", in: "", err: "empty"},
		{name: "blank", in: " \n\n", err: "empty"},
		{name: "no voter", in: "left,right,winner\n", err: "no column for voter: there are left, right, winner"},
		{name: "no second NFT", in: "voter,left,winner\n", err: "no column for b"},
		{name: "no winner", in: "voter,left,right\n", err: "no column for winner"},
		{name: "an id alone", in: "id\n", err: "cannot tell"},
		{name: "votes by strange names are no NFTs", in: "id,left,right,winner,person,name\n", err: "no column for voter"},
		{name: "no header", in: "1,v001,berlin-209,berlin-7819,right\n", err: "cannot tell"},
		{name: "twice", in: "voter,Voter,winner,loser\n", err: `columns "voter" and "Voter" are the same`},
		{name: "mapping of no field", in: "voter,winner,loser\n", mapping: map[string]string{"x": "voter"}, err: "votes have no field x"},
		{name: "mapping to no column", in: "voter,winner,loser\n", mapping: map[string]string{"voter": "x"}, err: "there is no column x"},
		{name: "array", in: "[{}]", err: "JSON array"},
		{name: "UTF-16", in: "\xff\xfei\x00", err: "UTF-16"},
		{name: "spreadsheet", in: "PK\x03\x04", err: "spreadsheet"},
		{name: "binary", in: "\x00\x01\x02\n", err: "not text"},
		{name: "broken gzip", in: "\x1f\x8b\x08\x00", err: "gzip"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, columns, err := open(strings.NewReader(test.in), maxRow, "", test.mapping)
			switch {
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want one with %q", err, test.err)
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err == "" && columns.kind != test.kind:
				t.Errorf("%s, want %s", columns.kind, test.kind)
			}
		})
	}
}

func TestOpenReportsReadErrors(t *testing.T) {
	for _, in := range []string{"", "id,na", "id,name\n1,x\n2", `{"id":"1","name":""}` + "\n{"} {
		broken := errors.New("broken pipe")
		_, err := readAll(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), maxRow, NFTs, nftID)
		if !errors.Is(err, broken) {
			t.Errorf("after %q: error %v, want %v", in, err, broken)
		}
	}
	// A gzip file that was cut off must not look whole.
	whole := zipped("id,name\n" + strings.Repeat("1,x\n", 1000))
	if _, err := readAll(strings.NewReader(whole[:len(whole)-9]), maxRow, NFTs, nftID); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// FuzzCSVRows checks that rows do not depend on how the file is read, that no
// line gets lost, and that well-formed files read as encoding/csv reads them.
func FuzzCSVRows(f *testing.F) {
	for _, seed := range []string{"1,x\n2,\"y\n\"\n", "1,\"x\n2,y", "\"\"\"\",\r\n,\n", "1,\"x\" y\n", " 1 ,\"2\" \n\xff,\x00", strings.Repeat("x", 80) + "\n1,2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		const limit = 60
		in := "id,name\n" + body
		want, err := readAll(strings.NewReader(in), limit, NFTs, nftID, nftName)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(iotest.OneByteReader(strings.NewReader(in)), limit, NFTs, nftID, nftName)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("read byte by byte (-at once +byte by byte):\n%s", diff)
		}
		checkLines(t, in, got)
		checkStandard(t, in, got)
	})
}

// checkLines fails for lines that are neither in a row nor blank.
func checkLines(t *testing.T, in string, rows []line) {
	lines := strings.Split(in, "\n")
	covered := map[int64]bool{1: true}
	last := int64(0)
	for _, r := range rows {
		if r.Line <= last {
			t.Fatalf("line %d after line %d", r.Line, last)
		}
		last = r.Line
		for i := range int64(strings.Count(r.Raw, "\n") + 1) {
			covered[r.Line+i] = true
		}
	}
	for i, l := range lines {
		if !covered[int64(i+1)] && strings.Trim(strings.TrimSpace(l), ", \t\r") != "" {
			t.Fatalf("line %d is lost: %q", i+1, l)
		}
	}
}

// checkStandard compares with encoding/csv where the file is beyond doubt.
func checkStandard(t *testing.T, in string, rows []line) {
	if strings.ContainsAny(in, " \t\r") || len(in) > 60 {
		return
	}
	r := csv.NewReader(strings.NewReader(in))
	records, err := r.ReadAll()
	if err != nil {
		return
	}
	var want, got []string
	for _, record := range records[1:] {
		if record[0] != "" || record[1] != "" {
			want = append(want, record[0]+"|"+record[1])
		}
	}
	for _, row := range rows {
		if row.Got != "|" {
			got = append(got, row.Got)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-encoding/csv +poa):\n%s", diff)
	}
}

// FuzzJSONLRows checks that rows do not depend on how the file is read, that no
// line gets lost, and that only text comes out.
func FuzzJSONLRows(f *testing.F) {
	for _, seed := range []string{`{"id":1}`, `{"id":"\ud800","name":"x"}`, "{\"id\":\"\xff\"}\n7", `{"ID":"a","id":"b","x":[{}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		const limit = 60
		in := `{"id":"1","name":"x"}` + "\n" + body
		want, err := readAll(strings.NewReader(in), limit, NFTs, nftID, nftName)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(iotest.OneByteReader(strings.NewReader(in)), limit, NFTs, nftID, nftName)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("read byte by byte (-at once +byte by byte):\n%s", diff)
		}
		checkLines(t, in, got)
		for _, r := range got {
			if !utf8.ValidString(r.Got) {
				t.Fatalf("line %d: %q is no text", r.Line, r.Got)
			}
		}
	})
}
