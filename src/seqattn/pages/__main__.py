"""Write every generated part of the results pages."""

from seqattn.pages import campaign, datasets

if __name__ == "__main__":
    datasets.write_pages(datasets.read_records())
    campaign.write_pages()
