"""Write every generated part of the results pages."""

from seqattn.calibration_page import write_calibration
from seqattn.pages import campaign, datasets
from seqattn.pages.writing import GENERATED
from seqattn.studies.calibrations import read_calibrations

if __name__ == "__main__":
    datasets.write_pages(datasets.read_records())
    campaign.write_pages()
    records, pooling = read_calibrations()
    write_calibration(records, GENERATED, pooling)
